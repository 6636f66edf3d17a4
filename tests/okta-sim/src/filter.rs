//! The SCIM expressions of `filter` and `search`.

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One holds.
    Or(Box<Filter>, Box<Filter>),
    /// An attribute compared with a value.
    Compare {
        attribute: String,
        operator: Operator,
        value: String,
    },
    /// An attribute is there.
    Present(String),
}

/// How an attribute is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    StartsWith,
    Contains,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Parses an expression; `None` if it is malformed (`ne` and `not` are not supported, as in Okta).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, at: 0 };
        let filter = parser.or()?;
        (parser.at == parser.tokens.len()).then_some(filter)
    }

    /// Whether the expression holds for what `attribute` gives; a list-valued attribute holds if one value does.
    pub(crate) fn holds(&self, attribute: &impl Fn(&str) -> Vec<String>) -> bool {
        match self {
            Self::And(a, b) => a.holds(attribute) && b.holds(attribute),
            Self::Or(a, b) => a.holds(attribute) || b.holds(attribute),
            Self::Present(name) => !attribute(name).is_empty(),
            Self::Compare {
                attribute: name,
                operator,
                value,
            } => attribute(name)
                .iter()
                .any(|have| operator.holds(have, value)),
        }
    }

    /// Every comparison in it.
    pub(crate) fn comparisons(&self) -> Vec<(&str, Option<Operator>)> {
        match self {
            Self::And(a, b) | Self::Or(a, b) => {
                let mut all = a.comparisons();
                all.extend(b.comparisons());
                all
            }
            Self::Present(name) => vec![(name, None)],
            Self::Compare {
                attribute,
                operator,
                ..
            } => vec![(attribute, Some(*operator))],
        }
    }
}

impl Operator {
    fn holds(self, have: &str, want: &str) -> bool {
        let (have, want) = (have.to_lowercase(), want.to_lowercase());
        match self {
            Self::Equal => have == want,
            Self::StartsWith => have.starts_with(&want),
            Self::Contains => have.contains(&want),
            Self::Greater => order(&have, &want).is_gt(),
            Self::GreaterOrEqual => order(&have, &want).is_ge(),
            Self::Less => order(&have, &want).is_lt(),
            Self::LessOrEqual => order(&have, &want).is_le(),
        }
    }
}

/// Numbers by value, times by instant, all else by letters.
fn order(have: &str, want: &str) -> std::cmp::Ordering {
    if let (Ok(a), Ok(b)) = (have.parse::<f64>(), want.parse::<f64>()) {
        return a.total_cmp(&b);
    }
    let time = |text: &str| crate::clock::parse_time(&text.to_uppercase());
    if let (Some(a), Some(b)) = (time(have), time(want)) {
        return a.cmp(&b);
    }
    have.cmp(want)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Text(String),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => {}
            '(' => out.push(Token::Open),
            ')' => out.push(Token::Close),
            '"' => {
                let mut value = String::new();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => value.push(letters.next()?),
                        other => value.push(other),
                    }
                }
                out.push(Token::Text(value));
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) =
                    letters.next_if(|c| !matches!(c, ' ' | '\t' | '(' | ')' | '"'))
                {
                    word.push(next);
                }
                out.push(Token::Word(word));
            }
        }
    }
    Some(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn or(&mut self) -> Option<Filter> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Filter> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Some(left)
    }

    fn one(&mut self) -> Option<Filter> {
        match self.take()? {
            Token::Open => {
                let inner = self.or()?;
                (self.take()? == Token::Close).then_some(inner)
            }
            Token::Word(attribute) => {
                let Token::Word(operator) = self.take()? else {
                    return None;
                };
                let operator = match operator.to_ascii_lowercase().as_str() {
                    "pr" => return Some(Filter::Present(attribute)),
                    "eq" => Operator::Equal,
                    "sw" => Operator::StartsWith,
                    "co" => Operator::Contains,
                    "gt" => Operator::Greater,
                    "ge" => Operator::GreaterOrEqual,
                    "lt" => Operator::Less,
                    "le" => Operator::LessOrEqual,
                    _ => return None,
                };
                let (Token::Text(value) | Token::Word(value)) = self.take()? else {
                    return None;
                };
                Some(Filter::Compare {
                    attribute,
                    operator,
                    value,
                })
            }
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    fn holds(text: &str) -> bool {
        let of = |name: &str| match name {
            "status" => vec!["ACTIVE".to_owned()],
            "lastUpdated" => vec!["2026-01-02T00:00:00.000Z".to_owned()],
            "profile.projects" => vec!["a".to_owned(), "b".to_owned()],
            _ => Vec::new(),
        };
        Filter::parse(text).unwrap().holds(&of)
    }

    #[test]
    fn expressions_hold_as_scim_says() {
        assert!(holds(
            r#"status eq "ACTIVE" and lastUpdated gt "2026-01-01T00:00:00.000Z""#
        ));
        assert!(!holds(r#"lastUpdated gt "2026-01-02T00:00:00.000Z""#));
        assert!(holds(r#"lastUpdated ge "2026-01-02T01:00:00+01:00""#));
        assert!(holds(
            r#"status eq "STAGED" or (profile.projects eq "b" and status pr)"#
        ));
        assert!(!holds(
            r#"status eq "STAGED" or status eq "ACTIVE" and profile.none pr"#
        ));
        assert_eq!(Filter::parse(r#"status ne "ACTIVE""#), None);
        assert_eq!(Filter::parse(r#"status eq "ACTIVE" and"#), None);
        assert_eq!(Filter::parse(r#"status eq "ACTIVE"#), None);
    }
}
