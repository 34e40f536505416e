//! What a query may be: one that reads, of a size that can be planned.
//!
//! Everything that is not known to be harmless is refused, twice: in the tree of the
//! text, and in the plan that the engine makes of it.

use std::{
    collections::HashMap,
    ops::ControlFlow::{self, Break, Continue},
};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{
        Expr, LogicalPlan, WindowFrameBound, WindowFunctionDefinition, expr::WindowFunction,
    },
    sql::sqlparser::ast::{
        BinaryOperator, Expr as Written, ObjectName, Query, Select, SetExpr, Statement,
        TableFactor, Visit, Visitor,
    },
};

use super::{allowed::is_allowed, error::Error};

/// The most tables that a query may read, each time that it names one counted, as
/// often as what it stands in is named. The engine copies what is named twice.
const MAX_TABLES: u64 = 100;

/// How deep expressions may be nested: a chain of operators is as deep as it is long, and
/// the engine walks down each. Lists of values are not, so a thousand of them are fine.
const MAX_DEPTH: usize = 500;

/// And such as the engine copies: see [`is_copied`].
const MAX_COPIED: usize = 8;

/// The most texts in a chain of `||`, whose types the engine asks for at each once more.
const MAX_JOINED: usize = 100;

/// The most SELECTs, within each other or side by side.
const MAX_SELECTS: usize = 200;

/// Aggregates that a window may have whose frame moves with its rows: each takes a row,
/// or gives it back, in a step. Others look at the whole frame for each row, which is no
/// end of work for a frame of a million.
const MOVING: [&str; 20] = [
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "last_value",
    "max",
    "min",
    "regr_intercept",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
];

/// Aggregates that are as long as all their rows together, for each row of a window again.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];

/// Functions that stand for tables: they make rows one by one, and read nothing.
const TABLES: [&str; 2] = ["generate_series", "range"];

/// Whether a statement is one that reads.
pub(super) fn check(statement: &Statement) -> Result<(), Error> {
    let query = match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ExplainTable { .. } => statement,
        Statement::Explain { statement, .. } => match &**statement {
            query @ Statement::Query(_) => query,
            other => return Err(not_read(other)),
        },
        other => return Err(not_read(other)),
    };
    let mut walk = Walk::default();
    match query.visit(&mut walk) {
        Break(error) => Err(error),
        Continue(()) if walk.tables > MAX_TABLES => Err(Error::refused(format!(
            "the query reads tables {} times, counted as often as each WITH is named; at most \
             {MAX_TABLES}",
            walk.tables
        ))),
        Continue(()) => Ok(()),
    }
}

fn not_read(statement: &Statement) -> Error {
    let text = statement.to_string();
    not_for_reading(text.split_whitespace().next().unwrap_or_default())
}

/// What is not answered that begins with this word.
pub(super) fn not_for_reading(word: &str) -> Error {
    Error::refused(format!(
        "{} is not for reading; SELECT, WITH, VALUES, EXPLAIN, DESCRIBE and SHOW TABLES are \
         answered",
        word.chars().take(20).collect::<String>()
    ))
}

/// A walk through the tree of a text.
#[derive(Default)]
struct Walk {
    /// Tables read by the queries that stand within each other here.
    open: Vec<u64>,
    /// By all.
    tables: u64,
    /// How deep in an expression this is.
    depth: usize,
    /// And in such as the engine copies with all that is in them.
    copied: usize,
    /// And in texts that are joined.
    joined: usize,
    /// How many there were.
    selects: usize,
    /// What each `WITH` reads, by its name in lower case.
    with: HashMap<String, u64>,
    /// The queries that are a `WITH`, by where they are.
    names: HashMap<*const Query, String>,
}

impl Walk {
    fn reads(&mut self, count: u64) {
        let here = self.open.last_mut().unwrap_or(&mut self.tables);
        *here = here.saturating_add(count);
    }
}

impl Visitor for Walk {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let has_more = !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if has_more {
            return Break(Error::refused(
                "FOR, SETTINGS, FORMAT and |> are not answered; leave them out",
            ));
        }
        if let Some(error) = not_a_query(&query.body) {
            return Break(error);
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = cte.alias.name.value.to_lowercase();
            self.names.insert(std::ptr::from_ref(&*cte.query), name);
        }
        self.open.push(0);
        Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let read = self.open.pop().unwrap_or_default();
        match self.names.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                // of two with one name the larger counts: which is meant is not said
                let known = self.with.entry(name).or_default();
                *known = read.max(*known).max(1);
            }
            None => self.reads(read),
        }
        Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Written) -> ControlFlow<Error> {
        // the engine reads the pattern as a regular expression, which it is not
        if matches!(expression, Written::SimilarTo { .. }) {
            return Break(Error::refused(
                "SIMILAR TO is not answered; use LIKE, or regexp_like() with a regular expression",
            ));
        }
        self.depth += 1;
        self.copied += usize::from(is_copied(expression));
        self.joined += usize::from(is_joined(expression));
        if self.depth > MAX_DEPTH {
            return Break(Error::refused(format!(
                "an expression is nested more than {MAX_DEPTH} deep; of many values make a list: \
                 x IN (...)"
            )));
        }
        if self.copied > MAX_COPIED {
            return Break(Error::refused(format!(
                "subqueries or coalesce() stand within each other more than {MAX_COPIED} deep; \
                 name some of them in a WITH"
            )));
        }
        if self.joined > MAX_JOINED {
            return Break(Error::refused(format!(
                "more than {MAX_JOINED} texts are joined with ||; call concat()"
            )));
        }
        Continue(())
    }

    fn post_visit_expr(&mut self, expression: &Written) -> ControlFlow<Error> {
        self.depth -= 1;
        self.copied -= usize::from(is_copied(expression));
        self.joined -= usize::from(is_joined(expression));
        Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        self.selects += 1;
        if self.selects > MAX_SELECTS {
            return Break(Error::refused(format!(
                "the query has more than {MAX_SELECTS} SELECTs"
            )));
        }
        match select.into {
            Some(_) => Break(Error::refused(
                "SELECT INTO is not for reading; leave INTO out",
            )),
            None => Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let count = match name.0.as_slice() {
            [name] => self.with.get(&name.to_string().to_lowercase()).copied(),
            _ => None,
        };
        self.reads(count.unwrap_or(1));
        Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Error> {
        match table {
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. } => Continue(()),
            TableFactor::UNNEST { .. } => {
                self.reads(1);
                Continue(())
            }
            TableFactor::Table { name, .. } => {
                let name = name.to_string().to_lowercase();
                match TABLES.contains(&name.as_str()) {
                    true => Continue(()),
                    false => Break(Error::refused(format!(
                        "{name}() is no table that can be read here; cloudtrail and the views are"
                    ))),
                }
            }
            _ => Break(Error::refused(
                "FROM reads tables, subqueries, joins and UNNEST here, and nothing else",
            )),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Error> {
        match statement {
            Statement::Query(_)
            | Statement::ShowTables { .. }
            | Statement::ShowColumns { .. }
            | Statement::ExplainTable { .. } => Continue(()),
            other => Break(not_read(other)),
        }
    }
}

/// Whether the engine copies an expression with all that is in it, so that some within
/// each other are twice as many with each.
fn is_copied(expression: &Written) -> bool {
    match expression {
        Written::Subquery(_) | Written::Exists { .. } | Written::InSubquery { .. } => true,
        Written::Function(call) => {
            let name = call.name.to_string().to_lowercase();
            ["coalesce", "ifnull", "nullif", "nvl", "nvl2"].contains(&name.as_str())
        }
        _ => false,
    }
}

fn is_joined(expression: &Written) -> bool {
    let operator = BinaryOperator::StringConcat;
    matches!(expression, Written::BinaryOp { op, .. } if *op == operator)
}

/// Why a query's body is none.
fn not_a_query(body: &SetExpr) -> Option<Error> {
    let mut open = vec![body];
    while let Some(body) = open.pop() {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => {}
            SetExpr::SetOperation { left, right, .. } => open.extend([&**left, right]),
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => return Some(not_read(statement)),
        }
    }
    None
}

/// Whether a plan is one that reads, by functions that are known.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), Error> {
    check_nodes(plan, node_error)
}

/// Whether no part of a plan, and of the queries in it, has an error: else the first.
pub(super) fn check_nodes(
    plan: &LogicalPlan,
    of: impl Fn(&LogicalPlan) -> Option<Error>,
) -> Result<(), Error> {
    let mut wrong = None;
    // it fails only where the walk does, which does not
    let _ = plan.apply_with_subqueries(|node| {
        wrong = of(node);
        Ok(match wrong {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    });
    wrong.map_or(Ok(()), Err)
}

fn node_error(node: &LogicalPlan) -> Option<Error> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => {}
        // statements, writes, and what nobody has thought of
        other => {
            let name = other.display().to_string();
            let name = name.split([':', ' ']).next().unwrap_or_default().to_owned();
            return Some(Error::refused(format!("{name} is not for reading")));
        }
    }
    let mut refused = None;
    let _ = node.apply_expressions(|expression| {
        expression.apply(|expression| {
            if let Some(name) = function(expression)
                && !is_allowed(name)
            {
                refused = Some(Error::refused(format!(
                    "{name}() may not be called here; docs/sql.md has those that may"
                )));
                return Ok(TreeNodeRecursion::Stop);
            }
            if let Expr::WindowFunction(call) = expression
                && let Some(error) = window_error(call)
            {
                refused = Some(error);
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    refused
}

/// Why an aggregate may not stand in its window.
fn window_error(call: &WindowFunction) -> Option<Error> {
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
        return None;
    };
    let (name, params) = (function.name(), &call.params);
    if GATHERING.contains(&name) {
        return Some(Error::refused(format!(
            "{name}() may not be called over a window, where it is told for each row again; \
             use GROUP BY"
        )));
    }
    let frame = &params.window_frame;
    let is_whole = frame.start_bound.is_unbounded()
        && matches!(&frame.end_bound, WindowFrameBound::Following(to) if to.is_null());
    let moves = MOVING.contains(&name) && !params.distinct;
    (!is_whole && !moves).then(|| {
        let distinct = if params.distinct { "DISTINCT " } else { "" };
        Error::refused(format!(
            "{name}({distinct}...) may not be called over a window whose frame moves; leave ORDER \
             BY and the frame out, or use GROUP BY"
        ))
    })
}

/// The function that an expression calls.
fn function(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::ScalarFunction(call) => Some(call.func.name()),
        Expr::HigherOrderFunction(call) => Some(call.func.name()),
        Expr::AggregateFunction(call) => Some(call.func.name()),
        Expr::WindowFunction(call) => Some(match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.name(),
            WindowFunctionDefinition::WindowUDF(function) => function.name(),
        }),
        _ => None,
    }
}
