//! What queries may call beside what SQL has.

mod field;
mod gathered;
mod get_json_object;
mod grown;
mod joined;
mod json;
mod place;
mod to_json;

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, StringViewArray},
        compute::cast,
        datatypes::DataType,
    },
    common::{Result, ScalarValue},
    execution::SessionStateDefaults,
    logical_expr::{AggregateUDF, ColumnarValue, ScalarUDF},
};

use self::gathered::Gathered;
pub(super) use self::{
    field::FieldOfEach,
    grown::{hold, hold_call, hold_type},
    joined::Joined,
};
use self::{get_json_object::GetJsonObject, place::PlaceOf, to_json::ToJson};
pub use place::NoPlaces;
pub(super) use place::Places;

/// All of them.
pub(super) fn all(places: Option<&Arc<Places>>) -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(GetJsonObject::default()),
        ScalarUDF::from(FieldOfEach::default()),
        ScalarUDF::from(Joined::default()),
        ScalarUDF::from(ToJson::default()),
        ScalarUDF::from(PlaceOf::country(places.cloned())),
        ScalarUDF::from(PlaceOf::city(places.cloned())),
    ]
}

/// The engine's own aggregates, but for those that are held.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let gathered = AggregateUDF::from(Gathered::default());
    let all = SessionStateDefaults::default_aggregate_functions();
    let others = all
        .into_iter()
        .filter(|function| function.name() != gathered.name());
    let mut all: Vec<_> = others.collect();
    all.push(Arc::new(gathered));
    all
}

/// Texts of whatever kind, as views.
fn texts(array: &dyn Array) -> Result<StringViewArray> {
    Ok(match array.data_type() {
        DataType::Utf8View => array.as_string_view().clone(),
        _ => cast(array, &DataType::Utf8View)?.as_string_view().clone(),
    })
}

/// What a function of one text makes of a column, or of a constant.
fn of_each<'a>(
    texts: &'a StringViewArray,
    of: impl FnMut(Option<&'a str>) -> Option<String>,
) -> ArrayRef {
    Arc::new(texts.iter().map(of).collect::<StringViewArray>())
}

/// A constant for a constant, and a column for a column.
fn like(array: &ArrayRef, is_constant: bool) -> Result<ColumnarValue> {
    Ok(match is_constant {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(array, 0)?),
        false => ColumnarValue::Array(Arc::clone(array)),
    })
}
