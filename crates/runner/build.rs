//! The program embeds `datasets/`: a new file there must rebuild it.

fn main() {
    println!("cargo:rerun-if-changed=../../datasets");
}
