//! Functions that make much of little, held to what a batch may grow to. The engine
//! counts what operators hold, and not what one expression makes: texts that are
//! joined to themselves thirty times would be all of memory.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray, GenericListArray},
        datatypes::{DataType, FieldRef},
    },
    common::{
        Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, expr::ScalarFunction,
    },
};

use crate::sql::error::Error;

/// The most that a function may make of a batch, in bytes: its records are some 2 MB,
/// and this is what a thread may hold beside its share.
pub(crate) const MOST: u64 = 128 << 20;

/// Steps of a comparison that are counted as a byte: some 500 million are a second.
const STEPS_A_BYTE: u64 = 8;

/// What bounds what a function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum How {
    /// It is no longer than all that it is given.
    Sum,
    /// Each character may become the last of what it is given.
    Product,
    /// It is as long as the second says.
    Length,
    /// It looks at each of the one for each of the other.
    Pairs,
    /// As [`How::Sum`]; and so is its type, which is walked wherever it is planned with.
    Type,
}

/// The most members that a type may have, within each other: each record has some fifty.
/// One that is made of itself twice, and so on, is soon of more than can be counted.
const MOST_MEMBERS: usize = 4096;

/// The functions that are held, and how.
fn how(name: &str) -> Option<How> {
    Some(match name {
        "array_append" | "array_concat" | "array_prepend" | "array_to_string" | "array_union"
        | "concat" | "concat_ws" | "make_array" | "overlay" => How::Sum,
        "arrays_zip" | "map" | "named_struct" | "struct" => How::Type,
        "regexp_replace" | "replace" => How::Product,
        "lpad" | "rpad" => How::Length,
        "array_has_all" | "array_has_any" | "levenshtein" => How::Pairs,
        _ => return None,
    })
}

/// Holds all of them in a plan: what the engine calls by itself as well.
pub(crate) fn hold(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expression| expression.transform_up(|one| Ok(hold_one(one))))
    })?;
    Ok(plan.data)
}

/// Holds a function whose type may grow: the engine asks for it while it plans.
pub(crate) fn hold_type(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let is_held = function.inner().is::<Held>();
    match how(function.name()) {
        Some(How::Type) if !is_held => Arc::new(ScalarUDF::from(Held {
            inner: function,
            how: How::Type,
        })),
        _ => function,
    }
}

/// The same for a call of one.
pub(crate) fn hold_call(call: Expr) -> Expr {
    match call {
        Expr::ScalarFunction(call) => {
            let function = hold_type(call.func);
            Expr::ScalarFunction(ScalarFunction::new_udf(function, call.args))
        }
        other => other,
    }
}

/// Members of a type, within each other, as far as so many.
fn members(of: &DataType, most: usize) -> usize {
    match of {
        DataType::Struct(fields) => fields.iter().fold(1, |sum, field| {
            let left = most.saturating_sub(sum);
            sum + if left == 0 {
                0
            } else {
                members(field.data_type(), left)
            }
        }),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => 1 + members(field.data_type(), most.saturating_sub(1)),
        _ => 1,
    }
}

fn hold_one(expression: Expr) -> Transformed<Expr> {
    if let Expr::ScalarFunction(call) = &expression
        && let Some(how) = how(call.func.name())
        && !call.func.inner().is::<Held>()
    {
        let held = ScalarUDF::from(Held {
            inner: Arc::clone(&call.func),
            how,
        });
        let call = ScalarFunction::new_udf(Arc::new(held), call.args.clone());
        return Transformed::yes(Expr::ScalarFunction(call));
    }
    Transformed::no(expression)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Held {
    inner: Arc<ScalarUDF>,
    how: How,
}

/// Refuses what would grow beyond [`MOST`].
pub(super) fn check(name: &str, bytes: u64) -> Result<()> {
    match bytes > MOST {
        true => Err(Error::refused(format!(
            "{name} would make {} MB of a batch of rows, or take as long; at most {} MB",
            bytes >> 20,
            MOST >> 20
        ))
        .into()),
        false => Ok(()),
    }
}

/// The bytes of an argument over so many rows.
pub(super) fn bytes(argument: &ColumnarValue, rows: usize) -> u64 {
    let bytes = match argument {
        ColumnarValue::Scalar(value) => {
            let length = value
                .try_as_str()
                .flatten()
                .map_or_else(|| value.size(), str::len);
            length.saturating_mul(rows)
        }
        ColumnarValue::Array(array) => match array.data_type() {
            // many arrays are views into one buffer
            DataType::Utf8View => {
                let views = array.as_string_view().views().iter();
                // the lower half of a view is its length
                let lengths = views.map(|view| (view & u128::from(u32::MAX)) as usize);
                lengths.fold(0, usize::saturating_add)
            }
            _ => array
                .to_data()
                .get_slice_memory_size()
                .unwrap_or(usize::MAX),
        },
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What there is to be compared in an argument over so many rows: the elements of lists,
/// the bytes of texts.
fn steps(argument: &ColumnarValue, rows: usize) -> u64 {
    let elements = match argument {
        ColumnarValue::Array(array) => array
            .as_list_opt::<i32>()
            .map(GenericListArray::value_offsets)
            .and_then(|offsets| Some(offsets.last()? - offsets.first()?)),
        ColumnarValue::Scalar(ScalarValue::List(list)) => {
            let rows = i32::try_from(rows).unwrap_or(i32::MAX);
            Some(list.value_length(0).saturating_mul(rows))
        }
        ColumnarValue::Scalar(_) => None,
    };
    let elements = elements.and_then(|elements| u64::try_from(elements).ok());
    elements.unwrap_or_else(|| bytes(argument, rows))
}

/// The longest text of an argument, in bytes, or list, in elements.
fn longest(argument: &ColumnarValue) -> u64 {
    let length = match argument {
        ColumnarValue::Scalar(ScalarValue::List(list)) => {
            usize::try_from(list.value_length(0)).unwrap_or(0)
        }
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().map_or(0, str::len),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8View => {
                let lengths = array.as_string_view().lengths();
                return lengths.max().map_or(0, u64::from);
            }
            DataType::Utf8 => {
                let lengths = array.as_string::<i32>().offsets().lengths();
                lengths.max().unwrap_or(0)
            }
            DataType::List(_) => {
                let lengths = array.as_list::<i32>().offsets().lengths();
                lengths.max().unwrap_or(0)
            }
            _ => return bytes(argument, 1),
        },
    };
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The greatest number of an argument.
fn greatest(argument: &ColumnarValue) -> u64 {
    let number = match argument {
        ColumnarValue::Scalar(value) => value.clone().cast_to(&DataType::Int64),
        ColumnarValue::Array(array) => {
            let numbers = datafusion::arrow::compute::cast(array, &DataType::Int64);
            let numbers = numbers.map_err(Into::into);
            numbers.map(|numbers| {
                let numbers = numbers.as_primitive::<datafusion::arrow::datatypes::Int64Type>();
                ScalarValue::Int64(datafusion::arrow::compute::max(numbers))
            })
        }
    };
    match number {
        Ok(ScalarValue::Int64(Some(number))) => u64::try_from(number).unwrap_or(0),
        Ok(_) => 0,
        Err(_) => u64::MAX,
    }
}

impl Held {
    fn check_type(&self, of: &DataType) -> Result<()> {
        let is_large = self.how == How::Type && members(of, MOST_MEMBERS + 1) > MOST_MEMBERS;
        match is_large {
            true => Err(Error::refused(format!(
                "{} would make values of more than {MOST_MEMBERS} members, those of members \
                 counted as well",
                self.name()
            ))
            .into()),
            false => Ok(()),
        }
    }

    fn bound(&self, arguments: &[ColumnarValue], rows: usize) -> u64 {
        let rows_told = u64::try_from(rows).unwrap_or(u64::MAX);
        let given = arguments.iter().map(|argument| bytes(argument, rows));
        match self.how {
            How::Sum | How::Type => given.fold(0, u64::saturating_add),
            How::Product => {
                let text = arguments.first().map_or(0, |text| bytes(text, rows));
                let by = arguments.get(2).map_or(0, longest);
                text.saturating_mul(by.max(1))
            }
            How::Pairs => {
                let [one, other] = arguments else { return 0 };
                let steps = steps(one, rows).saturating_mul(longest(other));
                steps / STEPS_A_BYTE
            }
            How::Length => arguments
                .get(1)
                .map_or(0, greatest)
                // a character may have four bytes
                .saturating_mul(4)
                .saturating_mul(rows_told),
        }
    }
}

impl ScalarUDFImpl for Held {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let made = self.inner.return_type(types)?;
        self.check_type(&made)?;
        Ok(made)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let made = self.inner.return_field_from_args(args)?;
        self.check_type(made.data_type())?;
        Ok(made)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn with_updated_config(&self, _: &ConfigOptions) -> Option<ScalarUDF> {
        None
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_array = |argument: &ColumnarValue| matches!(argument, ColumnarValue::Array(_));
        let rows = match args.args.iter().any(is_array) {
            true => args.number_rows,
            false => 1,
        };
        check(self.name(), self.bound(&args.args, rows))?;
        self.inner.invoke_with_args(args)
    }
}
