//! `to_json(value)`: structs and lists as text, as Spark writes them. A member that is
//! null is left out.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, StringViewArray},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
    common::{Result, exec_err, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};

use super::{json::Writer, like, texts};
use crate::sql::error::internal;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToJson {
    signature: Signature,
}

impl Default for ToJson {
    fn default() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

/// Whether values of this type can be written.
fn is_written(of: &DataType) -> bool {
    match of {
        DataType::Struct(fields) => fields.iter().all(|field| is_written(field.data_type())),
        DataType::List(element) => is_written(element.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        of => of.is_integer(),
    }
}

impl ScalarUDFImpl for ToJson {
    fn name(&self) -> &'static str {
        "to_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of @ (DataType::Struct(_) | DataType::List(_))] if is_written(of) => {
                Ok(DataType::Utf8View)
            }
            _ => plan_err!("to_json takes a struct or a list, of texts, truths and whole numbers"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(internal("to_json takes one value"));
        };
        let is_constant = matches!(value, ColumnarValue::Scalar(_));
        let rows = if is_constant { 1 } else { args.number_rows };
        let array = value.clone().into_array(rows)?;
        let column = Column::of(&array)?;
        let written = (0..array.len()).map(|row| {
            let mut to = Writer::default();
            array.is_valid(row).then(|| {
                column.write(row, &mut to);
                to.into_text()
            })
        });
        let written: StringViewArray = written.collect();
        like(&(std::sync::Arc::new(written) as ArrayRef), is_constant)
    }
}

/// A column, and what is in it.
struct Column {
    array: ArrayRef,
    of: Of,
}

enum Of {
    Texts(StringViewArray),
    Truths,
    Numbers,
    Struct(Vec<(String, Column)>),
    List(Box<Column>),
}

impl Column {
    fn of(array: &ArrayRef) -> Result<Self> {
        let of = match array.data_type() {
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter().map(Self::of);
                let names = fields.iter().map(|field| field.name().clone());
                let columns = columns.collect::<Result<Vec<_>>>()?;
                Of::Struct(names.zip(columns).collect())
            }
            DataType::List(_) => Of::List(Box::new(Self::of(array.as_list::<i32>().values())?)),
            DataType::Boolean => Of::Truths,
            of if of.is_integer() => {
                return Ok(Self {
                    array: cast(array, &DataType::Int64)?,
                    of: Of::Numbers,
                });
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Of::Texts(texts(array)?),
            other => return exec_err!("to_json does not take {other}"),
        };
        Ok(Self {
            array: ArrayRef::clone(array),
            of,
        })
    }

    /// Writes what is in a row, which is not null.
    fn write(&self, row: usize, to: &mut Writer) {
        match &self.of {
            Of::Texts(texts) => to.text(texts.value(row)),
            Of::Truths => to.value(match self.array.as_boolean().value(row) {
                true => "true",
                false => "false",
            }),
            Of::Numbers => {
                to.value(
                    &self
                        .array
                        .as_primitive::<Int64Type>()
                        .value(row)
                        .to_string(),
                );
            }
            Of::Struct(members) => {
                to.open('{');
                for (name, column) in members {
                    if column.array.is_valid(row) {
                        to.name(name);
                        column.write(row, to);
                    }
                }
                to.close('}');
            }
            Of::List(elements) => {
                to.open('[');
                let offsets = self.array.as_list::<i32>().value_offsets();
                let at = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok());
                for row in at(row).unwrap_or(0)..at(row + 1).unwrap_or(0) {
                    match elements.array.is_valid(row) {
                        true => elements.write(row, to),
                        false => to.value("null"),
                    }
                }
                to.close(']');
            }
        }
    }
}
