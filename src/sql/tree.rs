//! What is made of a query's tree before the engine reads it: parameters get names
//! that it knows, and members of structs the names that Spark gives them.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow::{self, Continue},
};

use datafusion::{
    arrow::datatypes::{DataType, Schema},
    sql::sqlparser::ast::{
        AccessExpr, Expr, Ident, Select, SelectItem, Statement, Value, VisitMut, VisitorMut,
    },
};

use super::{nested::find, text::Names};

/// What was found in a tree.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The parameters in the order in which they come first, in lower case; those
    /// without a name by their places, from `1` on.
    pub(super) parameters: Vec<String>,
    /// How columns of the answer are spelt that the engine has under another name.
    pub(super) labels: HashMap<String, String>,
}

/// Prepares a statement that was checked.
pub(super) fn prepare(statement: &mut Statement, columns: &Schema, names: &mut Names) -> Found {
    let mut walk = Walk {
        columns,
        names,
        found: Found::default(),
    };
    // it does not break
    let _ = statement.visit(&mut walk);
    walk.found
}

struct Walk<'a> {
    columns: &'a Schema,
    names: &'a mut Names,
    found: Found,
}

impl VisitorMut for Walk<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let named: Vec<String> = select.projection.iter().filter_map(name).collect();
        let mut taken: BTreeSet<String> = named.into_iter().map(|it| it.to_lowercase()).collect();
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) = item else {
                continue;
            };
            let Some(label) = member(parts, self.columns) else {
                continue;
            };
            let alias = self.names.spell(&label);
            if !taken.insert(alias.to_lowercase()) {
                continue;
            }
            if alias != label {
                self.found.labels.insert(alias.clone(), label);
            }
            let expr = Expr::CompoundIdentifier(std::mem::take(parts));
            *item = SelectItem::ExprWithAlias {
                expr,
                alias: Ident::with_quote('"', alias),
            };
        }
        Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            name_members(root, access_chain);
        }
        if let Expr::Value(value) = expr
            && let Value::Placeholder(placeholder) = &mut value.value
        {
            let name = placeholder
                .trim_start_matches([':', '$', '@'])
                .to_lowercase();
            *placeholder = format!("${name}");
            if !self.found.parameters.contains(&name) {
                self.found.parameters.push(name);
            }
        }
        Continue(())
    }
}

/// Has members that come after an element or a bracket be named by texts, which the
/// engine takes: those before are parts of one name.
fn name_members(root: &Expr, chain: &mut [AccessExpr]) {
    let mut is_name = matches!(root, Expr::Identifier(_));
    for access in chain {
        match access {
            AccessExpr::Dot(_) if is_name => {}
            AccessExpr::Dot(member) => {
                if let Expr::Identifier(name) = member {
                    let name = Value::SingleQuotedString(name.value.clone());
                    *member = Expr::Value(name.into());
                }
            }
            AccessExpr::Subscript(_) => is_name = false,
        }
    }
}

/// The name under which others find what is selected, where it has one.
fn name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        _ => None,
    }
}

/// The name of a member that parts of a name lead to, as CloudTrail spells it: what
/// comes after a column that is a struct, or a list of them.
fn member(parts: &[Ident], columns: &Schema) -> Option<String> {
    let column = |part: &Ident| {
        let fields = columns.fields().iter();
        let mut fields = fields.filter(|field| is_nested(field.data_type()));
        fields.find(|field| field.name().eq_ignore_ascii_case(&part.value))
    };
    let (place, field) = parts
        .iter()
        .enumerate()
        .find_map(|(place, part)| Some((place, column(part)?)))?;
    let rest = parts.get(place + 1..)?;
    let mut member = None;
    let mut data_type = field.data_type();
    for part in rest {
        let fields = match data_type {
            DataType::Struct(fields) => fields,
            DataType::List(element) => match element.data_type() {
                DataType::Struct(fields) => fields,
                _ => return None,
            },
            _ => return None,
        };
        let field = find(fields, &part.value)?;
        data_type = field.data_type();
        member = Some(field.name().clone());
    }
    member
}

fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(_) | DataType::List(_))
}

/// How a column of the answer is called, whatever the engine calls it: a member by its
/// name, and a call without the table that its columns are of.
pub(super) fn label(name: &str, labels: &HashMap<String, String>) -> String {
    if let Some(label) = labels.get(name) {
        return label.clone();
    }
    if let Some(rest) = name.strip_suffix(']')
        && let Some((before, member)) = rest.rsplit_once('[')
        && !before.contains('(')
        && !member.is_empty()
        && !member.bytes().all(|byte| byte.is_ascii_digit())
    {
        return member.to_owned();
    }
    name.replace("cloudtrail.", "")
}
