//! DoRA's dropout, which no reference has the masks of: against the equation with the whole direction formed.

mod common;

use burn::tensor::{Int, Tensor};
use common::{VARIANTS, backbone, device, method, moved, relative_error, values};
use peft_model::Context;
use peft_model::dropout::Dropout;
use serde_json::json;

#[test]
fn dropout_acts_on_the_whole_change() {
    for variant in VARIANTS {
        let (backbone, seeds, rate) = (backbone(variant), [3, 4], 0.4);
        let built = method("dora", json!({"rank": 3, "alpha": 6.0, "dropout": rate}));
        let (parameters, dropout) = (moved(&built, &seeds, backbone.as_ref()), Dropout::new(&seeds, 1));
        let (layout, weights) = (backbone.layout(), backbone.weights());
        let evaluating =
            Context { layout, weights, parameters: &parameters, dropout: None, tasks: None, memory: None };
        let training = Context { dropout: Some(&dropout), ..evaluating };
        let linear = layout.linears.iter().find(|linear| linear.name() == "v").unwrap();
        let [out, width] = linear.shape;
        let get = |name: &str| parameters.get::<3>(&format!("{}.{name}", linear.path));
        let magnitudes: Tensor<2> = parameters.get(&format!("{}.lora_magnitude", linear.path));
        let weight: Tensor<3> = weights.get(&linear.weight).clone().unsqueeze();
        let direction = weight.clone() + get("lora_B").matmul(get("lora_A")) * 2.0;
        let norms: Tensor<2> = (direction.clone() * direction.clone()).sum_dim(2).sqrt().squeeze_dim(2);
        let scaled = direction * (magnitudes / norms).unsqueeze_dim::<3>(2);

        let numbers = Tensor::<1, Int>::arange(0..(20 * width) as i64, &device()).float();
        let input: Tensor<4> = numbers.sin().reshape([2, 2, 5, width]);
        let rows = |tensor: Tensor<4>| tensor.reshape([2, 10, width]);
        let base = rows(input.clone()).matmul(weight.clone().transpose());
        for context in [evaluating, training] {
            let dropped = rows(context.dropout(&format!("{}.lora_A", linear.path), input.clone(), rate));
            let change = scaled.clone() - weight.clone();
            let expected = base.clone() + dropped.matmul(change.transpose());
            let output = base.clone().reshape([2, 2, 5, out]);
            let found = values(built.method.projection(&context, linear, &input, output));
            let error = relative_error(&found, &values(expected));
            println!("{variant}, dropout {}: {error:.1e}", context.dropout.is_some());
            assert!(error < 1e-5, "{variant}: {error:.1e}");
        }
        let output = || base.clone().reshape([2, 2, 5, out]);
        let [plain, masked] = [evaluating, training]
            .map(|context| values(built.method.projection(&context, linear, &input, output())));
        assert!(relative_error(&masked, &plain) > 1e-2, "{variant}: nothing was dropped");
    }
}
