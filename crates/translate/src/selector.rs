//! Label selectors.

use std::collections::BTreeMap;

use weir_api::selector::{LabelSelector, LabelSelectorRequirement};

/// A label selector that has been read: all requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Selector {
    pub(crate) requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: Operator,
}

/// What is required of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Requirement {
    /// Reads one of `matchExpressions`. The error is worded as Kubernetes' own library words it.
    pub(crate) fn expression(key: &str, operator: &str, values: &[String]) -> Result<Self, String> {
        let operator = match (operator, values.is_empty()) {
            ("In", false) => Operator::In(values.to_vec()),
            ("NotIn", false) => Operator::NotIn(values.to_vec()),
            ("Exists", true) => Operator::Exists,
            ("DoesNotExist", true) => Operator::DoesNotExist,
            ("In" | "NotIn", true) => {
                return Err("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into());
            }
            ("Exists" | "DoesNotExist", false) => {
                return Err(format!("values: Invalid value: {values:?}: values set must be empty for exists and does not exist"));
            }
            (other, _) => return Err(format!("\"{other}\" is not a valid label selector operator")),
        };
        Ok(Self { key: key.to_owned(), operator })
    }

    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|it| values.contains(it)),
            Operator::NotIn(values) => value.is_none_or(|it| !values.contains(it)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl Selector {
    /// Reads a selector as objects write it.
    pub(crate) fn read(selector: &LabelSelector) -> Result<Self, String> {
        let LabelSelector { match_labels, match_expressions } = selector;
        Self::new(match_labels, match_expressions)
    }

    /// Reads a selector's two parts.
    pub(crate) fn new<'a>(
        labels: impl IntoIterator<Item = (&'a String, &'a String)>,
        expressions: &[LabelSelectorRequirement],
    ) -> Result<Self, String> {
        let mut requirements: Vec<Requirement> =
            labels.into_iter().map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In(vec![value.clone()]) }).collect();
        for LabelSelectorRequirement { key, operator, values } in expressions {
            requirements.push(Requirement::expression(key, operator, values)?);
        }
        Ok(Self { requirements })
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|it| it.holds(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_requirement_must_hold() {
        let yes = vec!["a".to_owned(), "b".to_owned()];
        let required = |key: &str, operator: &str, values| LabelSelectorRequirement { key: key.into(), operator: operator.into(), values };
        let expressions = [
            required("env", "In", yes.clone()),
            required("old", "DoesNotExist", vec![]),
            required("x", "NotIn", yes),
            required("tier", "Exists", vec![]),
        ];
        let selector = Selector::new(&labels(&[("tier", "web")]), &expressions).expect("valid");
        assert!(selector.matches(&labels(&[("tier", "web"), ("env", "b")])));
        assert!(!selector.matches(&labels(&[("tier", "web"), ("env", "c")])));
        assert!(!selector.matches(&labels(&[("tier", "web"), ("env", "b"), ("old", "")])));
        assert!(!selector.matches(&labels(&[("tier", "web"), ("env", "b"), ("x", "a")])));
        assert!(!selector.matches(&labels(&[("env", "b")])));
        assert!(Selector::default().matches(&labels(&[])), "an empty selector selects everything");
    }

    #[test]
    fn bad_operators_are_named() {
        assert!(Requirement::expression("a", "Near", &[]).is_err_and(|e| e.contains("Near")));
        assert!(Requirement::expression("a", "In", &[]).is_err());
    }
}
