//! Whose pages may call from a browser.

use std::fmt;
use std::str::FromStr;

/// Origins of pages, as browsers name them: `https://shop.example`, with a port unless it is the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page there is: `*`.
    Any,
    /// Those of these origins.
    Those(Vec<String>),
}

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let origins: Vec<_> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
        if origins.iter().all(|origin| is_origin(origin)) {
            Ok(Self::Those(origins))
        } else {
            Err("write * or origins separated by commas, each as a browser names it, such as https://shop.example")
        }
    }
}

/// A browser compares byte by byte: no path, no slash at the end, no capitals.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_host)
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Those(origins) => f.write_str(&origins.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_name_them() {
        let text = "https://shop.example,http://localhost:3000";
        let origins: Origins = text.parse().expect("origins");
        assert_eq!(origins.to_string(), text);
        assert_eq!(" * ".parse(), Ok(Origins::Any));
        for wrong in ["", "shop.example", "https://shop.example/", "https://Shop.example", "*,https://a.example"] {
            wrong.parse::<Origins>().expect_err(wrong);
        }
    }
}
