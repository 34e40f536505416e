//! Keeps apart what the engine takes for one: of two projections of which one follows
//! the other and says the same, DataFusion 55 drops one (the fast path of
//! `merge_consecutive_projections`), so that `select n + 1 n from (select n + 1 n ...)`
//! would count one.

use datafusion::{
    common::{Result, metadata::FieldMetadata, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, Projection, expr::Alias},
};

/// The same plan, of which no projection looks like the one that it reads from.
pub(super) fn apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let apart = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Projection(outer) if is_alike(&outer) => {
            let marked = outer.expr.into_iter().map(marked).collect();
            let outer = Projection::try_new_with_schema(marked, outer.input, outer.schema)?;
            Ok(Transformed::yes(LogicalPlan::Projection(outer)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(apart.data)
}

fn is_alike(outer: &Projection) -> bool {
    match &*outer.input {
        // of columns alone, one is enough
        LogicalPlan::Projection(inner) => {
            inner.expr == outer.expr
                && !outer
                    .expr
                    .iter()
                    .all(|expr| matches!(expr, Expr::Column(_)))
        }
        _ => false,
    }
}

/// The same expression, told apart by saying nothing of its metadata.
fn marked(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(Alias {
            expr,
            relation,
            name,
            metadata: None,
        }) => {
            let alias = Alias::new(*expr, relation, name);
            Expr::Alias(alias.with_metadata(Some(FieldMetadata::new_empty())))
        }
        other => other,
    }
}
