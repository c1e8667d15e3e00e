//! The tensors of one trained run in a safetensors file.

use std::path::Path;

use burn::tensor::{DType, Device};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;
use crate::files;
use crate::parameters::{Parameter, Parameters};

/// Writes the tensors of one run, under the names that the method declared.
///
/// # Errors
/// When the file cannot be written.
pub fn save(parameters: &Parameters, run: usize, path: &Path) -> Result<(), Error> {
    let bytes: Vec<Vec<u8>> =
        parameters.run_to_host(run).iter().map(|values| files::float_bytes(values)).collect();
    let views = parameters.declared().iter().zip(&bytes).map(|(parameter, bytes)| {
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes);
        (parameter.name.as_str(), view.expect("sizes follow from the declaration"))
    });
    safetensors::serialize_to_file(views, None, path)
        .map_err(|e| Error::Write { path: path.into(), source: std::io::Error::other(e) })
}

/// Reads a run whose tensors are those that a method declares, from a file of at most so many bytes.
///
/// # Errors
/// When the file cannot be read, or a tensor is missing, of another shape or type, or not declared.
pub fn load(
    declared: Vec<Parameter>,
    path: &Path,
    most: u64,
    device: &Device,
    dtype: DType,
) -> Result<Parameters, Error> {
    let values = read(&declared, &files::read(path, most)?, path)?;
    Ok(Parameters::from_host(declared, &[&values], device, dtype))
}

/// Takes the tensors that a method declares, in their order, out of the bytes of a file; `path` names it in messages.
///
/// # Errors
/// When the bytes are no safetensors, or a tensor is missing, of another shape or type, or not declared.
pub fn read(declared: &[Parameter], bytes: &[u8], path: &Path) -> Result<Vec<Vec<f32>>, Error> {
    let wrong = |problem: String| Error::Adapter { path: path.into(), problem };
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| wrong(e.to_string()))?;
    if let Some(name) = tensors.names().iter().find(|name| declared.iter().all(|p| p.name != **name)) {
        return Err(wrong(format!("tensor `{name}` belongs to no parameter of the method on this model")));
    }
    let values = |parameter: &Parameter| {
        let Parameter { name, shape, .. } = parameter;
        let view = tensors.tensor(name).map_err(|e| wrong(e.to_string()))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            return Err(wrong(format!(
                "tensor `{name}` is {} {:?}, but the model and the method ask for F32 {shape:?}",
                view.dtype(),
                view.shape()
            )));
        }
        Ok(files::floats(view.data()))
    };
    declared.iter().map(values).collect()
}
