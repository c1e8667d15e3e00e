use polars::prelude::*;
use polars_parquet::write::{
    CompressionOptions, FileWriter, RowGroupIterator, StatisticsOptions, Version, WriteOptions,
    get_dtype_encoding,
};

/// A table as the bytes of a Parquet file.
///
/// Polars' own writer declares text as `string_view`, which pyarrow cannot filter or sort by and older
/// readers do not know; here it is declared as plain strings.
pub(super) fn to_parquet(frame: &mut DataFrame) -> PolarsResult<Vec<u8>> {
    let frame = frame.rechunk_mut();
    let compatible = CompatLevel::oldest();
    let schema = frame.schema().to_arrow(compatible);
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: CompressionOptions::Zstd(None),
        data_page_size: None,
    };
    let encodings = schema.iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
    let chunks = frame.iter_chunks(compatible, false).map(Ok);
    let groups = RowGroupIterator::try_new(chunks, &schema, options, encodings)?;
    let mut writer = FileWriter::try_new(Vec::new(), schema, options)?;
    for group in groups {
        writer.write(frame.height() as u64, group?)?;
    }
    writer.end(None)?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_back() {
        let mut frame =
            df!("text" => ["a", "b"], "none" => [Some("x"), None], "number" => [1.5, f64::NAN]).unwrap();
        let bytes = to_parquet(&mut frame).unwrap();
        let back = ParquetReader::new(std::io::Cursor::new(&bytes)).finish().unwrap();
        assert!(back.equals_missing(&frame));
    }
}
