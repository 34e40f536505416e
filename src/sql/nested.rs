//! Members of structs and elements of lists, as Spark reads them: names match
//! whatever their case, `list.name` is a list of that member of each element, and the
//! first element is `[0]`. `||` is a function here, so that what it makes is bounded.

use datafusion::{
    arrow::datatypes::{DataType, Field, Fields},
    common::{Column, DFSchema, DataFusionError, Result, ScalarValue, TableReference, plan_err},
    functions::core::{get_field, planner::CoreFunctionPlanner},
    functions_nested::{extract::array_element, planner::NestedFunctionPlanner},
    logical_expr::{
        Expr, ExprSchemable, GetFieldAccess, ScalarUDF, lit,
        planner::{
            ExprPlanner, PlannerResult, RawBinaryExpr, RawDictionaryExpr, RawFieldAccessExpr,
        },
        when,
    },
    sql::sqlparser::ast::BinaryOperator,
};
use std::sync::Arc;

use super::functions::{FieldOfEach, Joined, hold_call};

/// See the module.
#[derive(Debug)]
pub(super) struct Nested {
    field_of_each: Arc<ScalarUDF>,
    joined: Arc<ScalarUDF>,
}

impl Default for Nested {
    fn default() -> Self {
        Self {
            field_of_each: Arc::new(ScalarUDF::from(FieldOfEach::default())),
            joined: Arc::new(ScalarUDF::from(Joined::default())),
        }
    }
}

impl Nested {
    /// The member of that name, and its type; `None`: there is none.
    fn member(&self, of: Expr, data_type: &DataType, name: &str) -> Option<(Expr, DataType)> {
        match data_type {
            DataType::Struct(fields) => {
                let field = find(fields, name)?;
                let member = get_field().call(vec![of, lit(field.name().clone())]);
                Some((member, field.data_type().clone()))
            }
            DataType::List(element) => {
                let DataType::Struct(fields) = element.data_type() else {
                    return None;
                };
                let field = find(fields, name)?;
                let each = self.field_of_each.call(vec![of, lit(field.name().clone())]);
                let element = Field::new(element.name(), field.data_type().clone(), true);
                Some((each, DataType::List(Arc::new(element))))
            }
            _ => None,
        }
    }
}

/// What was planned, with its type held.
fn held<T>(planned: Result<PlannerResult<T>>) -> Result<PlannerResult<T>> {
    Ok(match planned? {
        PlannerResult::Planned(call) => PlannerResult::Planned(hold_call(call)),
        original @ PlannerResult::Original(_) => original,
    })
}

/// The member of that name whatever its case.
pub(super) fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a Field> {
    let mut fields = fields.iter();
    let field = fields.find(|field| field.name().eq_ignore_ascii_case(name))?;
    Some(&**field)
}

impl ExprPlanner for Nested {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        let is_list = |of: &Expr| Ok::<_, DataFusionError>(of.get_type(schema)?.is_list());
        match is_list(&expr.left)? || is_list(&expr.right)? {
            true => plan_err!("|| joins texts here; array_concat() joins lists"),
            false => Ok(PlannerResult::Planned(
                self.joined.call(vec![expr.left, expr.right]),
            )),
        }
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut member = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type().clone();
        for name in nested_names {
            match self.member(member, &data_type, name) {
                Some(found) => (member, data_type) = found,
                // the next planner says what is wrong
                None => return Ok(PlannerResult::Original(Vec::new())),
            }
        }
        Ok(PlannerResult::Planned(member))
    }

    fn plan_dictionary_literal(
        &self,
        expr: RawDictionaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        held(CoreFunctionPlanner::default().plan_dictionary_literal(expr, schema))
    }

    fn plan_struct_literal(
        &self,
        args: Vec<Expr>,
        is_named: bool,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        held(CoreFunctionPlanner::default().plan_struct_literal(args, is_named))
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        held(NestedFunctionPlanner.plan_make_map(args))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = access;
        let data_type = expr.get_type(schema)?;
        let original = |field_access, expr| {
            Ok(PlannerResult::Original(RawFieldAccessExpr {
                field_access,
                expr,
            }))
        };
        match field_access {
            GetFieldAccess::NamedStructField { name } => {
                let text = name.try_as_str().flatten();
                let member = text.and_then(|text| self.member(expr.clone(), &data_type, text));
                match member {
                    Some((member, _)) => Ok(PlannerResult::Planned(member)),
                    None => original(GetFieldAccess::NamedStructField { name }, expr),
                }
            }
            GetFieldAccess::ListIndex { key } if matches!(data_type, DataType::List(_)) => {
                Ok(PlannerResult::Planned(element(expr, *key)?))
            }
            other => original(other, expr),
        }
    }
}

/// An element by its place, from 0 on; before the first there is none.
fn element(list: Expr, place: Expr) -> Result<Expr> {
    if let Expr::Literal(ScalarValue::Int64(Some(place)), _) = place {
        return Ok(match place.checked_add(1).filter(|place| *place > 0) {
            Some(place) => array_element(list, lit(place)),
            // no list is as long
            None => array_element(list, lit(i64::MAX)),
        });
    }
    when(
        place.clone().gt_eq(lit(0_i64)),
        array_element(list, place + lit(1_i64)),
    )
    .end()
}
