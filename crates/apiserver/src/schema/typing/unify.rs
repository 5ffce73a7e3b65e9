//! What types are to one another: whether a value of one can stand where another is asked for, and what that says of unknown types.

use std::collections::HashMap;
use std::rc::Rc;

use super::types::Ty;

/// Steps after which everything fits: a rule made to be hard to check is not worth the time.
const MAX_STEPS: u32 = 200_000;

/// What is known of the unknown types so far.
#[derive(Debug, Default)]
pub(super) struct Known<'n> {
    types: HashMap<u32, Ty<'n>>,
    /// What to put back when a guess was wrong.
    log: Vec<(u32, Option<Ty<'n>>)>,
    fresh: u32,
    steps: u32,
}

impl<'n> Known<'n> {
    /// A type that is not known yet.
    pub(super) fn unknown(&mut self) -> Ty<'n> {
        self.fresh += 1;
        Ty::Var(self.fresh - 1)
    }

    fn tired(&mut self) -> bool {
        self.steps += 1;
        self.steps > MAX_STEPS
    }

    fn learn(&mut self, var: u32, ty: Ty<'n>) {
        let before = self.types.insert(var, ty);
        self.log.push((var, before));
    }

    /// Whether a value of `from` fits each of `to`. What that says of unknown types is kept only when it does.
    pub(super) fn fit_all(&mut self, from: &[Ty<'n>], to: &[Ty<'n>]) -> bool {
        self.log.clear();
        let fits = self.all(from, to);
        if !fits {
            while let Some((var, before)) = self.log.pop() {
                match before {
                    Some(ty) => drop(self.types.insert(var, ty)),
                    None => drop(self.types.remove(&var)),
                }
            }
        }
        fits
    }

    pub(super) fn fit(&mut self, from: &Ty<'n>, to: &Ty<'n>) -> bool {
        self.fit_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    fn all(&mut self, from: &[Ty<'n>], to: &[Ty<'n>]) -> bool {
        from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.one(from, to))
    }

    fn one(&mut self, a: &Ty<'n>, b: &Ty<'n>) -> bool {
        if self.tired() {
            return true;
        }
        if let Ty::Var(var) = b {
            match self.stands_for(a, *var) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Ty::Var(var) = a {
            return self.stands_for(b, *var).0;
        }
        match (a, b) {
            _ if a.is_free() || b.is_free() => true,
            (Ty::Null, other) | (other, Ty::Null) => {
                matches!(other, Ty::Null | Ty::Object(_) | Ty::Opaque(..) | Ty::Plain("duration" | "timestamp"))
            }
            (Ty::Type(_), Ty::Type(_)) => true,
            (Ty::List(a), Ty::List(b)) => self.one(a, b),
            (Ty::Map(keys, values), Ty::Map(other_keys, other_values)) => self.one(keys, other_keys) && self.one(values, other_values),
            (Ty::Opaque(name, of), Ty::Opaque(other, other_of)) => name == other && self.all(of, other_of),
            _ => a == b,
        }
    }

    /// Whether a type can stand for an unknown one, and whether something did before.
    fn stands_for(&mut self, ty: &Ty<'n>, var: u32) -> (bool, bool) {
        if *ty == Ty::Var(var) {
            return (true, true);
        }
        let Some(before) = self.types.get(&var).cloned() else {
            let apart = self.is_apart(var, ty);
            if apart {
                self.learn(var, ty.clone());
            }
            return (apart, false);
        };
        if *ty == before {
            return (true, true);
        }
        if !self.one(ty, &before) {
            return (false, true);
        }
        let general = if is_as_general(ty, &before) { ty.clone() } else { before };
        if self.is_apart(var, &general) {
            self.learn(var, general);
        }
        (true, true)
    }

    /// Whether the unknown type is no part of the other, which would then be part of itself.
    fn is_apart(&mut self, var: u32, within: &Ty<'n>) -> bool {
        if self.tired() {
            return false;
        }
        match within {
            Ty::Var(other) if *other == var => false,
            Ty::Var(other) => match self.types.get(other).cloned() {
                Some(ty) => self.is_apart(var, &ty),
                None => true,
            },
            Ty::List(of) | Ty::Type(Some(of)) => self.is_apart(var, of),
            Ty::Map(keys, values) => self.is_apart(var, keys) && self.is_apart(var, values),
            Ty::Opaque(_, of) => of.iter().all(|of| self.is_apart(var, of)),
            _ => true,
        }
    }

    /// The type with everything put in that is known; with `end`, what is still unknown can be anything.
    pub(super) fn resolved(&mut self, ty: &Ty<'n>, end: bool) -> Ty<'n> {
        if self.tired() {
            return Ty::Dyn;
        }
        match ty {
            Ty::Var(var) => match self.types.get(var).cloned() {
                Some(known) => self.resolved(&known, end),
                None if end => Ty::Dyn,
                None => ty.clone(),
            },
            Ty::List(of) => Ty::list(self.resolved(of, end)),
            Ty::Map(keys, values) => {
                let keys = self.resolved(keys, end);
                Ty::map(keys, self.resolved(values, end))
            }
            Ty::Type(Some(of)) => Ty::type_of(self.resolved(of, end)),
            Ty::Opaque(name, of) => Ty::opaque(name, of.iter().map(|of| self.resolved(of, end)).collect()),
            _ => ty.clone(),
        }
    }

    /// A declaration's types with fresh unknown types for its parameters.
    pub(super) fn instance(&mut self, ty: &Ty<'static>, parameters: &mut HashMap<&'static str, Ty<'n>>) -> Ty<'n> {
        match ty {
            Ty::Param(name) => {
                if let Some(known) = parameters.get(name) {
                    return known.clone();
                }
                let fresh = self.unknown();
                parameters.insert(name, fresh.clone());
                fresh
            }
            Ty::List(of) => Ty::List(Rc::new(self.instance(of, parameters))),
            Ty::Map(keys, values) => {
                let keys = self.instance(keys, parameters);
                Ty::Map(Rc::new(keys), Rc::new(self.instance(values, parameters)))
            }
            Ty::Type(of) => Ty::Type(of.as_ref().map(|of| Rc::new(self.instance(of, parameters)))),
            Ty::Opaque(name, of) => Ty::Opaque(name, of.iter().map(|of| self.instance(of, parameters)).collect()),
            Ty::Error => Ty::Error,
            Ty::Dyn | Ty::Object(_) | Ty::Var(_) => Ty::Dyn,
            Ty::Null => Ty::Null,
            Ty::Plain(name) => Ty::Plain(name),
        }
    }

    /// The more general of two types that fit one another; none when they do not.
    pub(super) fn joined(&mut self, before: &Ty<'n>, now: &Ty<'n>) -> Option<Ty<'n>> {
        self.fit(before, now).then(|| if is_as_general(before, now) { before.clone() } else { now.clone() })
    }
}

/// Whether the first type is the second, or one with less said.
fn is_as_general(a: &Ty<'_>, b: &Ty<'_>) -> bool {
    match (a, b) {
        (Ty::Dyn | Ty::Var(_), _) => true,
        (_, Ty::Dyn | Ty::Var(_)) => false,
        (Ty::List(a), Ty::List(b)) => is_as_general(a, b),
        (Ty::Map(keys, values), Ty::Map(other_keys, other_values)) => {
            is_as_general(keys, other_keys) && is_as_general(values, other_values)
        }
        (Ty::Opaque(a, of), Ty::Opaque(b, other)) => {
            a == b && of.len() == other.len() && of.iter().zip(other).all(|(a, b)| is_as_general(a, b))
        }
        (Ty::Type(_), Ty::Type(_)) => true,
        _ => a == b,
    }
}
