//! Days that are compared with numbers, which the engine would take for numbers of days.
//!
//! `date >= 2023` would be every day since 1975 to it. Spark refuses it, and so is it
//! here, before the engine gives both sides one type.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator,
        expr::{Between, InList},
    },
};

use super::{error::Error, guard::check_nodes};

/// What of a comparison is told, in characters.
const MAX_TOLD: usize = 100;

/// Whether no day is compared with a number that is written.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), Error> {
    check_nodes(plan, node_error)
}

fn node_error(node: &LogicalPlan) -> Option<Error> {
    let mut wrong = None;
    let _ = node.apply_expressions(|expression| {
        expression.apply(|expression| {
            let Some(other) = with_number(expression) else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let mut columns = DFSchema::empty();
            for input in node.inputs() {
                columns.merge(input.schema());
            }
            let of = other.get_type(&columns);
            if !matches!(of, Ok(DataType::Date32 | DataType::Date64)) {
                return Ok(TreeNodeRecursion::Continue);
            }
            let told = expression.human_display().to_string();
            let told: String = told.chars().take(MAX_TOLD).collect();
            wrong = Some(Error::wrong(format!(
                "{told} compares a day with a number; write a day as '2024-05-06', and ask for a \
                 year with date_part('year', date)"
            )));
            Ok(TreeNodeRecursion::Stop)
        })
    });
    wrong
}

/// What is compared with a number, in an expression that does.
fn with_number(expression: &Expr) -> Option<&Expr> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => {
            match (is_number(left), is_number(right)) {
                (true, false) => Some(right),
                (false, true) => Some(left),
                _ => None,
            }
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) if is_number(low) || is_number(high) => Some(expr),
        Expr::InList(InList { expr, list, .. }) if list.iter().any(is_number) => Some(expr),
        _ => None,
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether it is a whole number that is written, such as `2023`, `-1`, or `2023-07-10`
/// where quotes were forgotten.
fn is_number(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(value, _) => value.data_type().is_integer(),
        Expr::Negative(inner) => is_number(inner),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let counts = matches!(
                op,
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide
            );
            counts && is_number(left) && is_number(right)
        }
        _ => false,
    }
}
