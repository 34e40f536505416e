//! A member of each element: what `resources.name` is, as in Spark.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray, ListArray},
        compute::kernels::nullif::nullif,
        datatypes::{DataType, Field, FieldRef},
    },
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};

use crate::sql::error::internal;

/// `field_of_each(list, 'name')`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FieldOfEach {
    signature: Signature,
}

impl Default for FieldOfEach {
    fn default() -> Self {
        Self {
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

/// The type of a list of the members of that name; `None`: there is no such member.
fn list_of(list: &DataType, name: &str) -> Option<DataType> {
    let DataType::List(element) = list else {
        return None;
    };
    let DataType::Struct(fields) = element.data_type() else {
        return None;
    };
    let (_, field) = fields.find(name)?;
    // an element that is null has a member that is
    let field = Field::new(element.name(), field.data_type().clone(), true);
    Some(DataType::List(Arc::new(field)))
}

impl ScalarUDFImpl for FieldOfEach {
    fn name(&self) -> &'static str {
        "field_of_each"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(internal("the type depends on the member's name"))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let name = args.scalar_arguments.get(1).copied().flatten();
        let name = name.and_then(ScalarValue::try_as_str).flatten();
        let list = args.arg_fields.first().map(|field| field.data_type());
        let list = list.zip(name).and_then(|(list, name)| list_of(list, name));
        let list = list.ok_or_else(|| {
            internal("field_of_each takes a list of structs and the name of a member")
        })?;
        Ok(Arc::new(Field::new(self.name(), list, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(field) = args.return_field.data_type() else {
            return Err(internal("field_of_each answers with a list"));
        };
        let [list, name] = args.args.as_slice() else {
            return Err(internal("field_of_each takes two arguments"));
        };
        let ColumnarValue::Scalar(name) = name else {
            return Err(internal("the name of a member is a constant"));
        };
        let list = list.clone().into_array(args.number_rows)?;
        let list = list.as_list_opt::<i32>();
        let list = list.ok_or_else(|| internal("field_of_each takes a list"))?;
        let elements = list.values().as_struct_opt();
        let name = name.try_as_str().flatten().unwrap_or_default();
        let member = elements.and_then(|elements| elements.column_by_name(name));
        let (Some(elements), Some(member)) = (elements, member) else {
            return Err(internal("no element has such a member"));
        };
        let member = match elements.is_nullable() {
            true => {
                let is_null = datafusion::arrow::compute::is_null(elements)?;
                nullif(member, &is_null)?
            }
            false => Arc::clone(member),
        };
        let found = ListArray::try_new(
            Arc::clone(field),
            list.offsets().clone(),
            member,
            list.nulls().cloned(),
        )?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
