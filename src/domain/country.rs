//! The countries of the North American Numbering Plan by area code, and whose numbers may be texted
//! (docs/settings.md#countries).

use super::Number;
use std::str::FromStr;

/// The United States: each area code that is in no list here.
const US: (&str, &str) = ("US", "the United States");

/// The other countries and territories: code, name, area codes.
const OTHERS: &[(&str, &str, &[u16])] = &[
    ("AG", "Antigua and Barbuda", &[268]),
    ("AI", "Anguilla", &[264]),
    ("AS", "American Samoa", &[684]),
    ("BB", "Barbados", &[246]),
    ("BM", "Bermuda", &[441]),
    ("BS", "the Bahamas", &[242]),
    (
        "CA",
        "Canada",
        &[
            204, 226, 236, 249, 250, 257, 263, 273, 289, 306, 343, 354, 365, 367, 368, 382, 403, 416, 418,
            428, 431, 437, 438, 450, 468, 474, 506, 514, 519, 548, 579, 581, 584, 587, 604, 613, 639, 647,
            672, 683, 705, 709, 742, 753, 778, 780, 782, 807, 819, 825, 867, 873, 879, 902, 905, 942,
        ],
    ),
    ("DM", "Dominica", &[767]),
    ("DO", "the Dominican Republic", &[809, 829, 849]),
    ("GD", "Grenada", &[473]),
    ("GU", "Guam", &[671]),
    ("JM", "Jamaica", &[658, 876]),
    ("KN", "Saint Kitts and Nevis", &[869]),
    ("KY", "the Cayman Islands", &[345]),
    ("LC", "Saint Lucia", &[758]),
    ("MP", "the Northern Mariana Islands", &[670]),
    ("MS", "Montserrat", &[664]),
    ("PR", "Puerto Rico", &[787, 939]),
    ("SX", "Sint Maarten", &[721]),
    ("TC", "the Turks and Caicos Islands", &[649]),
    ("TT", "Trinidad and Tobago", &[868]),
    ("VC", "Saint Vincent and the Grenadines", &[784]),
    ("VG", "the British Virgin Islands", &[284]),
    ("VI", "the US Virgin Islands", &[340]),
];

/// Toll-free numbers. They are of no country, and a text to one costs what any other does.
const TOLL_FREE: &[u16] = &[800, 833, 844, 855, 866, 877, 888];
/// Follow-me numbers, machines, carriers' services and the US government: no place, at any price.
const NON_GEOGRAPHIC: &[u16] = &[
    500, 521, 522, 523, 524, 525, 526, 527, 528, 529, 532, 533, 544, 566, 577, 588, 600, 622, 633, 644, 655,
    677, 688, 700, 710,
];
/// Numbers that cost extra.
const PREMIUM: u16 = 900;

/// The countries whose numbers may be texted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedCountries(Vec<&'static str>);

/// Why a number may not be texted. The texts end a sentence that begins with the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No phone can have it.
    #[error("is not a phone number: {0}")]
    Impossible(&'static str),
    /// It costs extra.
    #[error("is a premium-rate number (area code 900), which is never texted")]
    Premium,
    /// Its area code belongs to no country.
    #[error("has the area code {0}, which belongs to no country and is never texted")]
    NonGeographic(u16),
    /// Its country is not named.
    #[error("is a number of {name}; to allow these, add {code} to ALLOWED_COUNTRIES")]
    Country {
        /// The country's code.
        code: &'static str,
        /// Its name.
        name: &'static str,
    },
}

/// A list of countries that names one which is not in the numbering plan, or none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a list of countries of the North American Numbering Plan; expected some of {}", names())]
pub struct UnknownCountry;

impl AllowedCountries {
    /// The default, as it would be written in the environment.
    pub const DEFAULT: &'static str = "US,CA";

    /// Whether this number may be a TN or a participant, or be answered.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, number: Number) -> Result<(), NotAllowed> {
        let area = number.area_code();
        if let Some(problem) = impossible(area) {
            return Err(NotAllowed::Impossible(problem));
        }
        if area == PREMIUM {
            return Err(NotAllowed::Premium);
        }
        if NON_GEOGRAPHIC.contains(&area) {
            return Err(NotAllowed::NonGeographic(area));
        }
        let (code, name) = country(area);
        let is_allowed = TOLL_FREE.contains(&area) || self.0.contains(&code);
        if is_allowed { Ok(()) } else { Err(NotAllowed::Country { code, name }) }
    }
}

impl Default for AllowedCountries {
    fn default() -> Self {
        Self(vec!["US", "CA"])
    }
}

impl FromStr for AllowedCountries {
    type Err = UnknownCountry;

    /// Reads codes that are separated by commas, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        let codes = text.split(',').map(str::trim).filter(|code| !code.is_empty());
        let known = |code: &str| codes_of_all().find(|known| known.eq_ignore_ascii_case(code));
        let allowed: Vec<_> =
            codes.map(|code| known(code).ok_or(UnknownCountry)).collect::<Result<_, _>>()?;
        if allowed.is_empty() { Err(UnknownCountry) } else { Ok(Self(allowed)) }
    }
}

/// Why the numbering plan has no such area code, if so.
fn impossible(area: u16) -> Option<&'static str> {
    match area {
        ..200 => Some("an area code begins with 2 to 9"),
        area if area % 100 == 11 => Some("211, 311 … 911 are no area codes"),
        area if area / 10 % 10 == 9 => Some("no area code has 9 as its second digit"),
        _ => None,
    }
}

fn country(area: u16) -> (&'static str, &'static str) {
    let of = OTHERS.iter().find(|(_, _, areas)| areas.contains(&area));
    of.map_or(US, |(code, name, _)| (*code, *name))
}

fn codes_of_all() -> impl Iterator<Item = &'static str> {
    std::iter::once(US.0).chain(OTHERS.iter().map(|(code, ..)| *code))
}

fn names() -> String {
    codes_of_all().collect::<Vec<_>>().join(", ")
}
