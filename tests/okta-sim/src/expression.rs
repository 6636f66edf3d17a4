//! The expressions of group rules, as far as the simulator can decide them.
//!
//! Understood: `user.attribute == "text"` and `!=`, `isMemberOfAnyGroup("id", …)`, `and`/`&&`, `or`/`||`, `not`/`!`
//! and parentheses. Anything else (`String.*`, `Arrays.*` …) is kept as it is and decides nothing.

use serde_json::Value;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// An attribute equals a text (or differs).
    Equals {
        attribute: String,
        text: String,
        negated: bool,
    },
    /// The user is in one of these groups.
    MemberOfAny(Vec<String>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// One of them.
    Or(Box<Expression>, Box<Expression>),
    /// Not so.
    Not(Box<Expression>),
    /// Beyond the simulator.
    Opaque,
}

impl Expression {
    /// Parses an expression; what is not understood makes the whole opaque.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parser = Parser { rest: text.trim() };
        match parser.or() {
            Some(expression) if parser.rest.is_empty() => expression,
            _ => Self::Opaque,
        }
    }

    /// The group ids that stand in an expression, understood or not.
    pub(crate) fn group_ids_in(text: &str) -> Vec<String> {
        text.split('"')
            .skip(1)
            .step_by(2)
            .filter(|part| part.len() == 20 && part.starts_with("00g"))
            .map(str::to_owned)
            .collect()
    }

    /// Whether it holds; `None` if it cannot be decided.
    pub(crate) fn holds(
        &self,
        attribute: &impl Fn(&str) -> Option<Value>,
        member: &impl Fn(&str) -> bool,
    ) -> Option<bool> {
        match self {
            Self::Equals {
                attribute: name,
                text,
                negated,
            } => {
                let equal = attribute(name).as_ref().and_then(Value::as_str) == Some(text);
                Some(equal != *negated)
            }
            Self::MemberOfAny(ids) => Some(ids.iter().any(|id| member(id))),
            Self::And(a, b) => Some(a.holds(attribute, member)? && b.holds(attribute, member)?),
            Self::Or(a, b) => Some(a.holds(attribute, member)? || b.holds(attribute, member)?),
            Self::Not(a) => Some(!a.holds(attribute, member)?),
            Self::Opaque => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn or(&mut self) -> Option<Expression> {
        let mut left = self.and()?;
        while self.eat_word("or") || self.eat("||") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expression> {
        let mut left = self.one()?;
        while self.eat_word("and") || self.eat("&&") {
            left = Expression::And(Box::new(left), Box::new(self.one()?));
        }
        Some(left)
    }

    fn one(&mut self) -> Option<Expression> {
        if self.eat_word("not") || (!self.rest.starts_with("!=") && self.eat("!")) {
            return Some(Expression::Not(Box::new(self.one()?)));
        }
        if self.eat("(") {
            let inner = self.or()?;
            return self.eat(")").then_some(inner);
        }
        if self.eat("isMemberOfAnyGroup") {
            return self.member_of();
        }
        self.eat("user.").then_some(())?;
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let (name, rest) = self.rest.split_at(end);
        let attribute = name.to_owned();
        self.rest = rest.trim_start();
        let negated = if self.eat("==") {
            false
        } else {
            self.eat("!=").then_some(true)?
        };
        Some(Expression::Equals {
            attribute,
            text: self.quoted()?,
            negated,
        })
    }

    fn member_of(&mut self) -> Option<Expression> {
        self.eat("(").then_some(())?;
        let mut ids = vec![self.quoted()?];
        while self.eat(",") {
            ids.push(self.quoted()?);
        }
        self.eat(")").then_some(Expression::MemberOfAny(ids))
    }

    fn quoted(&mut self) -> Option<String> {
        let inner = self.rest.strip_prefix('"')?;
        let (text, rest) = inner.split_once('"')?;
        self.rest = rest.trim_start();
        Some(text.to_owned())
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let here = self
            .rest
            .get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word));
        let ends = self
            .rest
            .get(word.len()..)
            .is_some_and(|tail| tail.starts_with([' ', '(']));
        here && ends && {
            self.rest = self.rest.get(word.len()..).unwrap_or_default().trim_start();
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Expression;

    fn holds(text: &str) -> Option<bool> {
        Expression::parse(text).holds(
            &|name: &str| (name == "department").then(|| Value::from("Sales")),
            &|id: &str| id == "00g1",
        )
    }

    #[test]
    fn understood_expressions_are_decided_and_others_are_not() {
        assert_eq!(holds(r#"user.department=="Sales""#), Some(true));
        assert_eq!(holds(r#"user.department != "Sales""#), Some(false));
        assert_eq!(
            holds(r#"isMemberOfAnyGroup("00g0", "00g1") and user.department == "Sales""#),
            Some(true)
        );
        assert_eq!(
            holds(r#"user.title=="x" || !(user.department=="Legal")"#),
            Some(true)
        );
        assert_eq!(holds(r#"String.startsWith(user.firstName,"andy")"#), None);
        assert_eq!(
            holds(r#"user.department=="Sales" and String.len(user.title) > 2"#),
            None
        );
    }
}
