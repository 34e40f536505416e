//! What `a || b` is: as SQL has it, and held as other functions that make much of
//! little are.

use datafusion::{
    arrow::{
        array::{ArrayRef, StringViewBuilder},
        datatypes::DataType,
    },
    common::{Result, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use std::sync::Arc;

use super::{
    grown::{bytes, check},
    like, texts,
};
use crate::sql::error::internal;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Joined {
    signature: Signature,
}

impl Default for Joined {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        "joined"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |of: &DataType| {
            matches!(
                of,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        };
        let fits = |of: &DataType| {
            is_text(of) || of.is_null() || of.is_primitive() || *of == DataType::Boolean
        };
        match types {
            [a, b]
                if fits(a)
                    && fits(b)
                    && (is_text(a) || is_text(b) || a.is_null() || b.is_null()) =>
            {
                Ok(vec![DataType::Utf8View; 2])
            }
            _ => plan_err!("|| joins two texts, or a text and a number; cast others to text"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else {
            return Err(internal("|| joins two texts"));
        };
        let is_constant = matches!((a, b), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        check("||", bytes(a, rows).saturating_add(bytes(b, rows)))?;
        let (a, b) = (
            texts(&a.clone().into_array(rows)?)?,
            texts(&b.clone().into_array(rows)?)?,
        );
        let mut joined = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        for (a, b) in a.iter().zip(&b) {
            match a.zip(b) {
                Some((a, b)) => {
                    text.clear();
                    text.push_str(a);
                    text.push_str(b);
                    joined.try_append_value(&text)?;
                }
                None => joined.append_null(),
            }
        }
        let joined: ArrayRef = Arc::new(joined.finish());
        like(&joined, is_constant)
    }
}
