//! Values that are bound to a query's parameters, and never written into it.

use std::collections::{BTreeMap, HashMap};

use datafusion::{
    arrow::{
        array::ArrayRef,
        datatypes::{DataType, TimeUnit},
    },
    common::{
        DataFusionError, ParamValues, ScalarValue,
        metadata::ScalarAndMetadata,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, expr::Placeholder},
};
use serde::{Deserialize, Serialize};

use super::{error::Error, schema::ZONE};

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// None.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Truth(bool),
    /// A moment, in microseconds since the Unix epoch.
    Time(i64),
    /// A day, in days since the Unix epoch.
    Day(i32),
}

impl Value {
    /// The value in a row of a column; `None`: it is of no type that a value may have.
    #[must_use]
    pub fn of(column: &ArrayRef, row: usize) -> Option<Self> {
        let value = ScalarValue::try_from_array(column, row).ok()?;
        if value.is_null() {
            return Some(Self::Null);
        }
        let to = match column.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::Boolean => DataType::Boolean,
            DataType::Date32 | DataType::Date64 => DataType::Date32,
            DataType::Timestamp(..) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
            }
            of if of.is_integer() => DataType::Int64,
            of if of.is_floating() => DataType::Float64,
            _ => return None,
        };
        Some(match value.cast_to(&to).ok()? {
            ScalarValue::Utf8(Some(text)) => Self::Text(text),
            ScalarValue::Int64(Some(number)) => Self::Integer(number),
            ScalarValue::Float64(Some(number)) => Self::Number(number),
            ScalarValue::Boolean(Some(truth)) => Self::Truth(truth),
            ScalarValue::TimestampMicrosecond(Some(micros), _) => Self::Time(micros),
            ScalarValue::Date32(Some(days)) => Self::Day(days),
            _ => return None,
        })
    }
}

impl From<Value> for ScalarValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Text(text) => Self::Utf8(Some(text)),
            Value::Integer(number) => Self::Int64(Some(number)),
            Value::Number(number) => Self::Float64(Some(number)),
            Value::Truth(truth) => Self::Boolean(Some(truth)),
            Value::Time(micros) => Self::TimestampMicrosecond(Some(micros), Some(ZONE.into())),
            Value::Day(days) => Self::Date32(Some(days)),
        }
    }
}

/// The values of a query's parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// By the names of parameters, in lower case; of those that have none by their
    /// places, from `1` on.
    Named(BTreeMap<String, Value>),
    /// In the order in which parameters come first.
    Placed(Vec<Value>),
}

impl Default for Parameters {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

impl Parameters {
    /// By their names.
    pub fn named(values: impl IntoIterator<Item = (String, Value)>) -> Self {
        let values = values.into_iter();
        Self::Named(
            values
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect(),
        )
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Named(values) => values.is_empty(),
            Self::Placed(values) => values.is_empty(),
        }
    }

    /// Those of these parameters, which are all that there are.
    pub(super) fn of(self, parameters: &[String]) -> Result<ParamValues, Error> {
        let values: BTreeMap<String, Value> = match self {
            Self::Named(values) => values,
            Self::Placed(values) if values.len() > parameters.len() => {
                return Err(Error::wrong(format!(
                    "{} values are given; {}",
                    values.len(),
                    told(parameters)
                )));
            }
            Self::Placed(values) => parameters.iter().cloned().zip(values).collect(),
        };
        if let Some(missing) = parameters.iter().find(|name| !values.contains_key(*name)) {
            return Err(Error::wrong(format!(
                "parameter :{missing} has no value; give one"
            )));
        }
        if let Some(unknown) = values.keys().find(|name| !parameters.contains(name)) {
            return Err(Error::wrong(format!(
                "there is no parameter :{unknown}; {}",
                told(parameters)
            )));
        }
        let values = values.into_iter();
        let values =
            values.map(|(name, value)| (name, ScalarAndMetadata::from(ScalarValue::from(value))));
        Ok(ParamValues::Map(values.collect()))
    }
}

/// The types of a plan's parameters by their names with the `$`, of those whose use
/// tells. Where one's uses differ the first counts: `text = :a` and `:a || '/'` are of
/// two types of text. But in `:since - interval '1' day` the planner takes `:since`
/// for an interval, which any other use knows better.
pub(super) fn types(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, DataFusionError> {
    let mut types: HashMap<String, DataType> = HashMap::new();
    plan.apply_with_subqueries(|plan| {
        // the planner does not say what the only one is that there may be
        let usual = matches!(plan, LogicalPlan::Limit(_)).then_some(DataType::Int64);
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(Placeholder { id, field }) = expr
                    && let Some(of) = field.as_ref().map(|it| it.data_type()).or(usual.as_ref())
                {
                    let known = types.get(id);
                    if known.is_none_or(|known| matches!(known, DataType::Interval(_))) {
                        types.insert(id.clone(), of.clone());
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

fn told(parameters: &[String]) -> String {
    if parameters.is_empty() {
        return "the query has none".to_owned();
    }
    let names: Vec<String> = parameters.iter().map(|name| format!(":{name}")).collect();
    format!("the query has {}", names.join(", "))
}
