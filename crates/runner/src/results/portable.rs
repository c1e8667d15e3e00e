/// A name as results may hold it: of a path from the root or from a home folder, which may tell whose home that is, the
/// last part.
pub fn portable(name: &str) -> String {
    let path = std::path::Path::new(name);
    let last = path.file_name().filter(|_| path.is_absolute() || name.starts_with('~'));
    last.map_or(name.into(), |last| last.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_tell_of_no_home_folder() {
        assert_eq!(portable("/home/somebody/models/t5"), "t5");
        assert_eq!(portable("~/models/t5"), "t5");
        assert_eq!(portable("models/t5"), "models/t5");
        assert_eq!(portable("google-t5/t5-base"), "google-t5/t5-base");
    }
}
