//! Options whose value is a name from a list.

/// A value chosen by its name.
pub trait Choice: Copy + PartialEq + 'static {
    /// All values of smidgen, in the order of `--help`.
    const ALL: &'static [Self];

    /// Returns all values of this program, in the order of `--help`.
    fn all() -> &'static [Self] {
        Self::ALL
    }

    /// Returns its name on the command line and in records.
    fn name(self) -> &'static str;

    /// Returns its description in `--help`.
    fn about(self) -> &'static str;

    /// Returns the value of this name.
    fn named(name: &str) -> Option<Self> {
        Self::all().iter().copied().find(|choice| choice.name() == name)
    }

    /// Lists the names of the values with a property in a sentence: `ef21, ef21-w or gd`.
    fn listed(conjunction: &str, has: impl Fn(Self) -> bool) -> String {
        let names = Self::all().iter().filter(|choice| has(**choice)).map(|choice| choice.name());
        let names: Vec<_> = names.collect();
        match names.split_last() {
            Some((last, [])) => (*last).into(),
            Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}

/// Defines an enum and its [`Choice`]. The doc comment of a variant, one line, is its text in `--help`.
macro_rules! choices {
    (
        $(#[$meta:meta])*
        pub enum $choice:ident {
            $(#[doc = $about:literal] $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $choice {
            $(#[doc = $about] $variant,)+
        }

        impl $crate::options::choice::Choice for $choice {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $about.trim_ascii(),)+
                }
            }
        }

        $crate::options::choice::serialised!($choice);
    };
}

/// Writes values of a [`Choice`] as their names, and reads them.
macro_rules! serialised {
    ($choice:ident) => {
        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::options::choice::Choice::name(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $choice {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::options::choice::Choice;
                let name = <String as serde::Deserialize>::deserialize(deserializer)?;
                let known = || Self::listed("or", |_| true);
                Self::named(&name).ok_or_else(|| {
                    serde::de::Error::custom(format_args!("`{name}` is not {}", known()))
                })
            }
        }
    };
}
pub(super) use {choices, serialised};
