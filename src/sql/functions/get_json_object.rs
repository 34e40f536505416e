//! `get_json_object(text, path)`: see `json`.

use datafusion::{
    arrow::datatypes::DataType,
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};

use super::{json::Path, like, of_each, texts};

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct GetJsonObject {
    signature: Signature,
}

impl Default for GetJsonObject {
    fn default() -> Self {
        Self {
            signature: Signature::string(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for GetJsonObject {
    fn name(&self) -> &'static str {
        "get_json_object"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [of, path]: [ColumnarValue; 2] = args
            .args
            .try_into()
            .map_err(|_| super::super::error::internal("get_json_object takes two texts"))?;
        let is_constant = matches!(
            (&of, &path),
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_))
        );
        let rows = if is_constant { 1 } else { rows };
        let found = match &path {
            // it is read once
            ColumnarValue::Scalar(path) => {
                let path = path.try_as_str().flatten().and_then(Path::parse);
                let of = texts(&of.into_array(rows)?)?;
                of_each(&of, |text| path.as_ref()?.find(text?))
            }
            ColumnarValue::Array(paths) => {
                let (of, paths) = (texts(&of.into_array(rows)?)?, texts(paths)?);
                let mut paths = paths.iter();
                of_each(&of, |text| {
                    let path = paths.next().flatten();
                    Path::parse(path?)?.find(text?)
                })
            }
        };
        like(&found, is_constant)
    }
}
