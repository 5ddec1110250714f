//! One Avro type's direct reader and writer: between Rust types and bytes, with no value tree between.
//!
//! The schema holds no references (see [`avsc`](super::avsc)), so there is nothing to resolve and
//! nothing to borrow: a writer for one value is made on the stack.

use std::io::{self, Read};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value as AvroValue;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroResult, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// No length within a record may claim more than this. The library's own bound is 512 MiB.
const MAX_ALLOCATION_BYTES: usize = 64 * 1024 * 1024;

/// Ids are text in Avro, and a type that has a text form for people is written in it.
const HUMAN_READABLE: bool = true;

/// A type that can be read and written.
#[derive(Clone, Debug)]
pub struct Datum {
    schema: Schema,
}

impl Datum {
    /// The type that a tree without references describes.
    pub fn new(tree: &Value) -> Result<Self, String> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
        Schema::parse(tree).map(|schema| Self { schema }).map_err(|error| error.to_string())
    }

    /// Appends a value.
    pub fn write<T: Serialize>(&self, out: &mut Vec<u8>, value: &T) -> Result<(), String> {
        let mut write = || -> AvroResult<usize> {
            GenericDatumWriter::builder(&self.schema)
                .resolved_schemata(no_references()?)
                .human_readable(HUMAN_READABLE)
                .build()?
                .write_ser(out, value)
        };
        write().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Appends a value tree, if it is of this type.
    pub fn write_value(&self, out: &mut Vec<u8>, value: &AvroValue) -> Result<(), String> {
        let mut write = || -> AvroResult<usize> {
            GenericDatumWriter::builder(&self.schema)
                .resolved_schemata(no_references()?)
                .validate(true)
                .build()?
                .write_value_ref(out, value)
        };
        write().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Reads a value tree and moves `bytes` past it.
    pub fn read_value(&self, bytes: &mut &[u8]) -> Result<AvroValue, String> {
        let mut read = || -> AvroResult<AvroValue> {
            GenericDatumReader::builder(&self.schema)
                .resolved_writer_schemata(no_references()?)
                .build()?
                .read_value(&mut Whole(bytes))
        };
        read().map_err(|error| error.to_string())
    }

    /// Reads a value and moves `bytes` past it.
    pub fn read<T: DeserializeOwned>(&self, bytes: &mut &[u8]) -> Result<T, String> {
        let mut read = || -> AvroResult<T> {
            GenericDatumReader::builder(&self.schema)
                .resolved_writer_schemata(no_references()?)
                .human_readable(HUMAN_READABLE)
                .build()?
                .read_deser(&mut Whole(bytes))
        };
        read().map_err(|error| error.to_string())
    }
}

/// Bytes that end with an error of a kind of its own. The library takes the usual one for a null: a text
/// or an optional that is cut off would read as absent.
struct Whole<'b, 'v>(&'b mut &'v [u8]);

impl Read for Whole<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.0.len());
        self.read_exact(&mut buffer[..length])?;
        Ok(length)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some((read, rest)) = self.0.split_at_checked(buffer.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it ends too early"));
        };
        buffer.copy_from_slice(read);
        *self.0 = rest;
        Ok(())
    }
}

fn no_references<'s>() -> AvroResult<ResolvedSchema<'s>> {
    ResolvedSchema::new_with_schemata(Vec::new())
}

/// Appends a number as Avro writes `int` and `long`: zigzag, then seven bits a byte.
pub fn write_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push((rest & 0x7f) as u8);
}

/// Reads a number as Avro writes `int` and `long`, and moves `bytes` past it.
pub fn read_long(bytes: &mut &[u8]) -> Result<i64, String> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("it ends within a number")?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    Err("a number of more than ten bytes".to_owned())
}
