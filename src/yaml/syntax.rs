//! What is wrong with a text, as data and in the words of its reader.

use std::fmt;

use granit_parser::ErrorKind;

/// What is wrong with the text of a document, and at which offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset in the text.
    pub at: usize,
    /// What.
    pub syntax: Syntax,
}

/// What is wrong with the text of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The file has more than 4 GiB.
    TooLarge,
    /// The text ends inside a value.
    Ends,
    /// Something else is expected here, such as `a value`.
    Expected(&'static str),
    /// An alias without an anchor in front of it in the same document.
    UnknownAlias,
    /// An alias inside of what it stands for.
    AliasOfItself,
    /// The aliases stand for too much.
    TooManyAliases,
    /// Lists and mappings in each other, deeper than this.
    TooDeep(usize),
    /// A list, a mapping or nothing in place of a key.
    NoKey,
    /// What is merged with `<<` is no mapping.
    NoMerge,
    /// `!!binary` without base64.
    NoBase64,
    /// A number that JSON does not have.
    NoNumber,
    /// A character that YAML does not allow.
    Character(char),
    /// Any other mistake, in words.
    Other(&'static str),
}

impl Syntax {
    /// The parser's reason, in words that do not presume its grammar.
    pub(super) fn of(kind: &ErrorKind) -> Self {
        use ErrorKind as E;
        match kind {
            E::UnexpectedEof
            | E::UnexpectedEofFlowSequence
            | E::UnexpectedEofFlowMapping
            | E::UnexpectedEofImplicitFlowMapping
            | E::UnexpectedEofBlockSequence
            | E::UnexpectedEofBlockMapping => Self::Ends,
            E::UnknownAnchor => Self::UnknownAlias,
            E::UnexpectedCharacter { character } => Self::Character(*character),
            E::UnclosedQuotedScalar => Self::Other("a quote is not closed"),
            E::UnclosedFlowCollection { open: '[' } => Self::Other("a [ is not closed"),
            E::UnclosedFlowCollection { .. } => Self::Other("a { is not closed"),
            E::MisplacedFlowCollectionEnd => Self::Other("this bracket closes nothing"),
            E::MismatchedFlowCollectionEnd { .. } => Self::Other("this bracket closes one of another kind"),
            E::ExpectedFlowMappingSeparator => Self::Expected("a comma or }"),
            E::ExpectedFlowSequenceSeparator => Self::Expected("a comma or ]"),
            E::ExpectedBlockMappingKey => Self::Other("expected a key: check the indentation of this line"),
            E::ExpectedBlockSequenceEntry => {
                Self::Other("expected the next entry of the list: check the indentation of this line")
            }
            E::ExpectedDocumentStart => {
                Self::Other("the document has ended before this: write --- between two documents")
            }
            E::ExpectedNodeContent | E::PlainScalarStartsWithDashFlowIndicator | E::UnexpectedEndOfPlainScalar => {
                Self::Expected("a value")
            }
            E::SimpleKeyExpected | E::InvalidSimpleKey => {
                Self::Other("expected a colon behind the key: check the indentation of this line")
            }
            E::InvalidIndentation
            | E::InvalidQuotedScalarIndent
            | E::InvalidFlowScalarIndent
            | E::InvalidBlockScalarIndent => Self::Other("the indentation of this line fits nothing above it"),
            E::TabNotAllowed
            | E::TabInBlockIndentation
            | E::TabInIndentation
            | E::TabAtBlockScalarStart
            | E::TabInPlainScalar => Self::Other("a tab stands where only blanks may: indent with blanks"),
            E::MappingValueNotAllowed | E::InvalidColonPlacement => {
                Self::Other("no colon with a value can stand here: put the text in quotes, or check the indentation")
            }
            E::MappingKeyNotAllowed => Self::Other("no key can stand here: check the indentation of this line"),
            E::BlockSequenceEntryNotAllowed | E::InvalidBlockEntryWhitespace | E::BlockEntryInFlowCollection => {
                Self::Other("no entry of a list can begin here: check the indentation of this line")
            }
            E::BomInsideDocument => Self::Other("a byte order mark stands inside the document: remove it"),
            E::UndeclaredTagHandle => Self::Other("the tag's prefix is not declared"),
            E::UnknownQuotedScalarEscape => Self::Other("there is no such escape in double quotes"),
            E::RecursionLimitExceeded => Self::TooDeep(super::events::DEPTH),
            E::DocumentIndicatorInQuotedScalar => Self::Other("--- or ... at the start of a line inside quotes"),
            E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
                Self::Other("text behind the closing quote")
            }
            E::InvalidMappingValueWhitespace | E::FlowMappingValueAdjacentCollection => {
                Self::Other("expected a blank behind the colon")
            }
            E::CommentNotSeparated => Self::Other("expected a blank in front of the #"),
            E::CommentInterceptedScalar => Self::Other("a comment stands inside the text of a value"),
            E::ZeroBlockScalarIndent | E::InvalidBlockScalarHeader => {
                Self::Other("what follows | or > is no indentation and no line end")
            }
            E::InvalidQuotedScalarHexEscape | E::InvalidLowSurrogateHexEscape => {
                Self::Other("the escape is not followed by its hexadecimal digits")
            }
            E::InvalidLowSurrogate | E::MissingLowSurrogate | E::UnpairedLowSurrogate | E::InvalidUnicodeEscape => {
                Self::Other("the escape stands for no character")
            }
            E::MissingAnchorOrAliasName => Self::Other("expected a name behind & or *: put the text in quotes"),
            E::DuplicateVersionDirective
            | E::UnsupportedYamlMajorVersion
            | E::DuplicateTagDirective
            | E::MissingDocumentEndBeforeDirective
            | E::InvalidDirectiveTerminator
            | E::MissingYamlVersionSeparator
            | E::MissingDirectiveName
            | E::InvalidDirectiveName
            | E::YamlVersionTooLong
            | E::MissingYamlVersion
            | E::InvalidTagDirectiveTerminator => Self::Other("the line that begins with % is no directive of YAML"),
            E::InvalidDocumentEnd => Self::Other("text behind ..."),
            _ => Self::Other("this is not YAML"),
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the file is larger than 4 GiB: split it"),
            Self::Ends => f.write_str("the text ends here inside a list or a mapping"),
            Self::Expected(what) => write!(f, "expected {what} here"),
            Self::UnknownAlias => f.write_str("no anchor of this name stands in front of the alias in its document"),
            Self::AliasOfItself => f.write_str("the alias stands inside of what it stands for"),
            Self::TooManyAliases => {
                f.write_str("the aliases of this document stand for more than 4 million values: write fewer")
            }
            Self::TooDeep(limit) => write!(f, "lists and mappings stand in each other more than {limit} deep"),
            Self::NoKey => f.write_str(
                "a list, a mapping or nothing stands in place of a key: put the text in quotes, or render the template first",
            ),
            Self::NoMerge => f.write_str("what is merged with << is no mapping"),
            Self::NoBase64 => f.write_str("the value of !!binary is not base64"),
            Self::NoNumber => f.write_str("Kubernetes has no such number: put the value in quotes"),
            Self::Character(character) if character.is_ascii_graphic() => {
                write!(f, "the character {character} cannot stand here: put the text in quotes")
            }
            Self::Character(character) => {
                write!(f, "the character U+{:04X} cannot stand in a text: remove it", u32::from(*character))
            }
            Self::Other(words) => f.write_str(words),
        }
    }
}
