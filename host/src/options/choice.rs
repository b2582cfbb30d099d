//! Options with a name out of a list.

/// A value that is chosen by its name.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value, in the order of `--help`.
    const ALL: &'static [Self];

    /// Its name on the command line and in records.
    fn name(self) -> &'static str;

    /// What it is, for `--help`.
    fn about(self) -> &'static str;

    /// The value of this name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.name() == name)
    }
}

/// Defines an enum and its [`Choice`]: the comment of a variant, in one line, is what `--help` says of it.
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

        impl $crate::options::Choice for $choice {
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

        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::options::Choice::name(*self))
            }
        }
    };
}
pub(super) use choices;
