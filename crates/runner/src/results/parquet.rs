use std::io::Cursor;

use polars::prelude::*;
use polars_parquet::write::{
    CompressionOptions, FileWriter, KeyValue, RowGroupIterator, StatisticsOptions, Version, WriteOptions,
    get_dtype_encoding,
};

use crate::files::checksum;

/// Rows below which a column is not worth a decompressor: a record has dozens of columns and one row.
const SMALL: usize = 16;

/// A table as the bytes of a Parquet file, with a checksum of all of them in its metadata.
///
/// Polars' own writer declares text as `string_view`, which pyarrow cannot filter or sort by and older
/// readers do not know; here it is declared as plain strings.
pub(super) fn to_parquet(frame: &mut DataFrame) -> PolarsResult<Vec<u8>> {
    let frame = frame.rechunk_mut();
    let compatible = CompatLevel::oldest();
    let schema = frame.schema().to_arrow(compatible);
    let compression = match frame.height() {
        0..SMALL => CompressionOptions::Uncompressed,
        _ => CompressionOptions::Zstd(None),
    };
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression,
        data_page_size: None,
    };
    let encodings = schema.iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
    let chunks = frame.iter_chunks(compatible, false).map(Ok);
    let groups = RowGroupIterator::try_new(chunks, &schema, options, encodings)?;
    let mut writer = FileWriter::try_new(Vec::new(), schema, options)?;
    for group in groups {
        writer.write(frame.height() as u64, group?)?;
    }
    let checksum = KeyValue { key: checksum::KEY.into(), value: Some(checksum::blank()) };
    writer.end(Some(vec![checksum]))?;
    let mut bytes = writer.into_inner();
    checksum::fill_in(&mut bytes);
    Ok(bytes)
}

/// Reads a table whose checksum is right.
pub(super) fn from_parquet(bytes: &[u8]) -> Result<DataFrame, String> {
    columns_from_parquet(bytes, None)
}

/// Reads some columns of a table whose checksum is right; all of them where none are named.
pub(super) fn columns_from_parquet(bytes: &[u8], columns: Option<&[&str]>) -> Result<DataFrame, String> {
    checksum::check(bytes).map_err(|e| e.to_string())?;
    let columns = columns.map(|names| names.iter().map(ToString::to_string).collect());
    // Many small files are read at once; each by one thread.
    let reader =
        ParquetReader::new(Cursor::new(bytes)).with_columns(columns).read_parallel(ParallelStrategy::None);
    reader.finish().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_back() {
        let mut frame =
            df!("text" => ["a", "b"], "none" => [Some("x"), None], "number" => [1.5, f64::NAN]).unwrap();
        let bytes = to_parquet(&mut frame).unwrap();
        assert!(from_parquet(&bytes).unwrap().equals_missing(&frame));
    }

    #[test]
    fn tables_that_were_changed_are_refused() {
        let mut frame = df!("score" => [1.5]).unwrap();
        let bytes = to_parquet(&mut frame).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(from_parquet(&changed).is_err(), "byte {place}");
            assert!(from_parquet(&bytes[..place]).is_err());
        }
    }
}
