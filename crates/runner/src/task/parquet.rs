//! Parquet: the requested columns, whatever the types of the others.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use polars::error::PolarsError;
use polars_arrow::array::{
    Array, BooleanArray, Float16Array, ListArray, MapArray, PrimitiveArray, StructArray, Utf8ViewArray,
};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_arrow::types::NativeType;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::parquet::schema::types::PrimitiveType;
use polars_parquet::read::schema::{FileMetadata, ParquetType, parquet_to_arrow_schema};
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, PageReader, PhysicalType, PrimitiveLogicalType, RowGroupMetadata,
    column_iter_to_arrays, read_metadata,
};

use super::table::{Column, Table};
use super::value::Value;
use crate::files;
use crate::host::{memory, panics};

/// Most levels of lists and records in a column.
const MOST_LEVELS: usize = 100;

/// Reads the requested columns of a file.
pub(super) fn parquet(path: &Path, wanted: &[String]) -> Result<Table, String> {
    let mut file = files::open(path).map_err(|e| e.to_string())?;
    let metadata = metadata(&mut file)?;
    let fields = metadata.schema().fields();
    let names = fields.iter().map(|field| field.name().to_string()).collect();
    let mut table = Table::new(names, wanted)?;
    table.rows = metadata.row_groups.iter().map(RowGroupMetadata::num_rows).fold(0, usize::saturating_add);
    if table.rows > u32::MAX as usize {
        return Err(format!("the file has {} rows; at most {} are supported", table.rows, u32::MAX));
    }
    for column in &mut table.columns {
        let Some(field) = fields.iter().find(|field| field.name() == column.name) else { continue };
        let read = panics::catch(|| {
            metadata.row_groups.iter().try_for_each(|group| read_column(&mut file, group, field, column))
        });
        read.flatten().map_err(|problem| format!("column `{}`: {problem}", field.name()))?;
    }
    Ok(table)
}

fn metadata(file: &mut File) -> Result<FileMetadata, String> {
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start).map_err(|e| e.to_string())?;
    if let Some(kind) = files::foreign(&start) {
        return Err(kind.into());
    }
    panics::catch(|| read_metadata(file).map_err(|e| brief(&e))).flatten()
}

/// Adds the rows of a row group to a column.
fn read_column(
    file: &mut File,
    group: &RowGroupMetadata,
    parquet: &ParquetType,
    column: &mut Column,
) -> Result<(), String> {
    if is_deeper(parquet, MOST_LEVELS) {
        return Err(format!("it is nested more than {MOST_LEVELS} levels deep"));
    }
    let chunks: Vec<&ColumnChunkMetadata> =
        group.columns_under_root_iter(parquet.name()).ok_or("the file has no data for it")?.collect();
    let (mut pages, mut types) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let bytes = read_chunk(file, chunk)?.into();
        let reader = || PageReader::new(Cursor::new(Clone::clone(&bytes)), chunk, Vec::new(), usize::MAX);
        check_pages(chunk, reader)?;
        pages.push(BasicDecompressor::new(reader(), Vec::new()));
        types.push(&chunk.descriptor().descriptor.primitive_type);
    }
    let field = field(parquet, &types).ok_or("it is a record without fields")?;
    let (arrays, _) = column_iter_to_arrays(pages, types, field, None).map_err(|e| brief(&e))?;
    let before = column.values.len();
    for array in arrays {
        values(&*array).into_iter().try_for_each(|value| column.push(value))?;
    }
    match column.values.len() - before {
        rows if rows == group.num_rows() => Ok(()),
        rows => Err(format!("it has {rows} rows instead of {}", group.num_rows())),
    }
}

fn read_chunk(file: &mut File, chunk: &ColumnChunkMetadata) -> Result<Vec<u8>, String> {
    let range = chunk.byte_range();
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if range.end > size {
        return Err(format!("its data should extend to byte {}, but the file has {size}", range.end));
    }
    file.seek(SeekFrom::Start(range.start)).map_err(|e| e.to_string())?;
    memory::ensure(|| "its data".into(), range.end - range.start).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(range.end - range.start).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// Refuses pages that claim more values than they hold, since decoding trusts their sizes.
fn check_pages(chunk: &ColumnChunkMetadata, reader: impl Fn() -> PageReader) -> Result<(), String> {
    let mut dictionary = BasicDecompressor::new(reader(), Vec::new());
    let dictionary = dictionary.read_dict_page().map_err(|e| e.to_string())?;
    if dictionary.is_some_and(|page| page.num_values > page.buffer.len()) {
        return Err("its dictionary claims more values than it has".into());
    }
    let mut held = 0;
    for page in reader() {
        if let CompressedPage::Data(page) = page.map_err(|e| e.to_string())? {
            held += page.num_values() as u64;
            memory::ensure(|| "a page".into(), page.uncompressed_size() as u64).map_err(|e| e.to_string())?;
        }
    }
    if held != chunk.num_values() as u64 {
        return Err(format!("its pages have {held} values instead of {}", chunk.num_values()));
    }
    let needed = held.saturating_mul(size_of::<Value>() as u64);
    memory::ensure(|| format!("{held} values"), needed).map_err(|e| e.to_string())
}

/// Whether a column has more than `levels` levels.
fn is_deeper(parquet: &ParquetType, levels: usize) -> bool {
    match parquet {
        ParquetType::GroupType { fields, .. } => {
            levels == 0 || fields.iter().any(|field| is_deeper(field, levels - 1))
        }
        ParquetType::PrimitiveType(_) => false,
    }
}

/// The column by Parquet's own types: Arrow's additional types are stored in the same way, but not every decoder
/// knows them.
fn field(parquet: &ParquetType, leaves: &[&PrimitiveType]) -> Option<Field> {
    let schema = parquet_to_arrow_schema(std::slice::from_ref(parquet));
    let mut field = schema.iter_values().next()?.clone();
    fix_leaves(&mut field.dtype, &mut leaves.iter());
    Some(field)
}

/// Replaces the types of a column's leaves that Arrow maps differently.
fn fix_leaves<'a>(kind: &mut ArrowDataType, leaves: &mut impl Iterator<Item = &'a &'a PrimitiveType>) {
    use ArrowDataType as Kind;
    match kind {
        Kind::LargeList(inner) | Kind::Map(inner, _) => fix_leaves(&mut inner.dtype, leaves),
        Kind::Struct(fields) => fields.iter_mut().for_each(|field| fix_leaves(&mut field.dtype, leaves)),
        leaf => {
            let primitive = leaves.next().map(|leaf| (leaf.logical_type, leaf.physical_type));
            match primitive {
                Some((Some(PrimitiveLogicalType::Float16), PhysicalType::FixedLenByteArray(2))) => {
                    *leaf = Kind::Float16;
                }
                Some((
                    Some(PrimitiveLogicalType::Json | PrimitiveLogicalType::Enum),
                    PhysicalType::ByteArray,
                )) => {
                    *leaf = Kind::Utf8View;
                }
                _ => {}
            }
        }
    }
}

/// The values of an array; values of types without text keep only the name of the type.
fn values(array: &dyn Array) -> Vec<Value> {
    use ArrowDataType as Kind;
    let known = match array.dtype() {
        Kind::Null => Some(vec![Value::Null; array.len()]),
        Kind::Boolean => {
            let array = array.as_any().downcast_ref::<BooleanArray>();
            array.map(|array| array.iter().map(|v| v.map_or(Value::Null, Value::Boolean)).collect())
        }
        Kind::Utf8View => {
            let array = array.as_any().downcast_ref::<Utf8ViewArray>();
            array
                .map(|array| array.iter().map(|v| v.map_or(Value::Null, |v| Value::Text(v.into()))).collect())
        }
        Kind::Int8 => numbers(array, |v: i8| Value::Integer(v.into())),
        Kind::Int16 => numbers(array, |v: i16| Value::Integer(v.into())),
        Kind::Int32 => numbers(array, |v: i32| Value::Integer(v.into())),
        Kind::Int64 => numbers(array, Value::Integer),
        Kind::UInt8 => numbers(array, |v: u8| Value::Integer(v.into())),
        Kind::UInt16 => numbers(array, |v: u16| Value::Integer(v.into())),
        Kind::UInt32 => numbers(array, |v: u32| Value::Integer(v.into())),
        Kind::UInt64 => numbers(array, |v: u64| integer(v.into())),
        Kind::Float16 => {
            let array = array.as_any().downcast_ref::<Float16Array>();
            let number = |array: &Float16Array| {
                array.iter().map(|v| v.map_or(Value::Null, |v| Value::Number(v.0.to_f64()))).collect()
            };
            array.map(number)
        }
        Kind::Float32 => numbers(array, |v: f32| Value::Number(v.into())),
        Kind::Float64 => numbers(array, Value::Number),
        Kind::Decimal(_, scale) => numbers(array, |v: i128| decimal(v, *scale)),
        Kind::LargeList(_) => {
            let array = array.as_any().downcast_ref::<ListArray<i64>>();
            array.map(|array| lists(&**array.values(), array.offsets().lengths(), array.validity()))
        }
        Kind::Map(_, _) => {
            let array = array.as_any().downcast_ref::<MapArray>();
            array.map(|array| lists(&**array.field(), array.offsets().lengths(), array.validity()))
        }
        Kind::Struct(_) => array.as_any().downcast_ref::<StructArray>().map(records),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let other = Value::Other(kind_name(array.dtype()));
        (0..array.len()).map(|row| if array.is_null(row) { Value::Null } else { other.clone() }).collect()
    })
}

fn numbers<T: NativeType>(array: &dyn Array, value: impl Fn(T) -> Value) -> Option<Vec<Value>> {
    let array = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
    Some(array.iter().map(|number| number.map_or(Value::Null, |&number| value(number))).collect())
}

fn integer(integer: i128) -> Value {
    i64::try_from(integer).map_or_else(|_| Value::Digits(integer.to_string()), Value::Integer)
}

/// A decimal number with all its digits, with `scale` digits after the decimal point.
fn decimal(digits: i128, scale: usize) -> Value {
    if scale == 0 {
        return integer(digits);
    }
    let sign = if digits < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Value::Digits(format!("{sign}{whole}.{fraction}"))
}

/// Splits elements into lists of these lengths.
fn lists(
    elements: &dyn Array,
    lengths: impl Iterator<Item = usize>,
    validity: Option<&Bitmap>,
) -> Vec<Value> {
    let mut elements = values(elements).into_iter();
    let list = |(row, length)| {
        let list: Vec<Value> = elements.by_ref().take(length).collect();
        if validity.is_none_or(|valid| valid.get_bit(row)) { Value::List(list) } else { Value::Null }
    };
    lengths.enumerate().map(list).collect()
}

fn records(array: &StructArray) -> Vec<Value> {
    let mut columns: Vec<_> = array.values().iter().map(|column| values(&**column).into_iter()).collect();
    let mut record = |row| {
        let fields = array.fields().iter().zip(&mut columns);
        let fields =
            fields.map(|(field, column)| (field.name.to_string(), column.next().unwrap_or(Value::Null)));
        let fields: Vec<(String, Value)> = fields.collect();
        if array.is_null(row) { Value::Null } else { Value::Record(fields) }
    };
    (0..array.len()).map(&mut record).collect()
}

/// Name of a type without text.
fn kind_name(kind: &ArrowDataType) -> String {
    match kind {
        ArrowDataType::Date32 => "date".into(),
        ArrowDataType::Time32(_) | ArrowDataType::Time64(_) => "time".into(),
        ArrowDataType::Timestamp(..) => "datetime".into(),
        ArrowDataType::BinaryView | ArrowDataType::FixedSizeBinary(_) => "binary".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// A Polars error without its advice on how to call Polars.
fn brief(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}
