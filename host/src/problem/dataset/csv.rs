//! Comma-separated values: a header with the names of the columns, then one row per line.
//!
//! Commas, semicolons and tabs separate fields; the header tells which. A field with a separator, a quotation mark or
//! a line end is quoted.

use super::columns::{Columns, Selection};
use super::defect::{Defect, Place, RaggedCause};
use super::error::DatasetError;
use super::table::Table;
use super::texts::{excerpt, finite};
use crate::units::text::MARK;
use ::csv::{Position, Reader, ReaderBuilder, StringRecord, Trim};
use std::collections::HashMap;

/// Separators, the most likely first.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// Texts that stand for a missing value, in any case.
const MISSING: [&str; 8] = ["", "?", "na", "n/a", "#n/a", "<na>", "nan", "null"];
/// Further ones, for numbers only: they may be labels.
const MISSING_NUMBERS: [&str; 4] = ["none", "-", "--", "missing"];

/// Number of columns in an example of a header.
const EXAMPLE_MAX: usize = 6;

/// Returns the separator with which a line has the most fields, if it has more than one.
pub(super) fn separator(line: &str) -> Option<char> {
    let count = |separator: char| {
        let mut is_quoted = false;
        let unquoted = line.chars().filter(|&char| {
            is_quoted ^= char == '"';
            !is_quoted && char == separator
        });
        unquoted.count()
    };
    // The first of equals, so not `max_by_key`.
    let best = SEPARATORS.into_iter().rev().max_by_key(|&separator| count(separator))?;
    (count(best) > 0).then_some(best)
}

/// Parses text; `name` is only for messages. `select` chooses columns by the header.
pub(super) fn parse(
    name: &str,
    text: &str,
    select: impl FnOnce(&Columns<'_>) -> Result<Selection, DatasetError>,
) -> Result<Table, DatasetError> {
    let start = |columns: &Columns<'_>| {
        let selection = select(columns)?;
        Ok((Table::new(columns, &selection), selection))
    };
    let (table, _) = read(name, text, start, |(table, selection), fields| {
        let (number, text) = (|column| fields.number(column), |column| fields.text(column));
        table.push_row(selection, fields.line, number, text)
    })?;
    Ok(table)
}

/// The fields of a row.
pub(super) struct Fields<'a> {
    columns: &'a Columns<'a>,
    fields: &'a StringRecord,
    /// The line, counted from 1.
    pub line: usize,
}

impl Fields<'_> {
    /// Returns the number in a column.
    pub(super) fn number(&self, column: usize) -> Result<f64, DatasetError> {
        number(&self.fields[column]).map_err(|defect| self.refuse(column, defect))
    }

    /// Returns the text in a column.
    pub(super) fn text(&self, column: usize) -> Result<&str, DatasetError> {
        role(&self.fields[column]).map_err(|defect| self.refuse(column, defect))
    }

    fn refuse(&self, column: usize, defect: Defect) -> DatasetError {
        let place = Place::Field { line: self.line, column: self.columns.names[column].clone() };
        defect.of(self.columns.table, place)
    }
}

/// Reads text; `name` is only for messages. `start` gets the header, `push` every row.
pub(super) fn read<T, E: From<DatasetError>>(
    name: &str,
    text: &str,
    start: impl FnOnce(&Columns<'_>) -> Result<T, E>,
    mut push: impl FnMut(&mut T, &Fields<'_>) -> Result<(), E>,
) -> Result<T, E> {
    let mut records = Records::new(name, text);
    let mut fields = StringRecord::new();
    let Some(first) = records.next(&mut fields)? else {
        return Err(Defect::NoRows.of(name, Place::Table).into());
    };
    let columns = Columns { table: name, names: records.header(first, &fields)?, has_header: true };
    let (mut rows, mut has_rows) = (start(&columns)?, false);
    while let Some(line) = records.next(&mut fields)? {
        records.check_width(line, &fields, &columns)?;
        push(&mut rows, &Fields { columns: &columns, fields: &fields, line })?;
        has_rows = true;
    }
    match has_rows {
        true => Ok(rows),
        false => Err(Defect::NoRows.of(name, Place::Table).into()),
    }
}

/// The records of a text, with their lines.
struct Records<'a> {
    name: &'a str,
    text: &'a str,
    separator: char,
    reader: Reader<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let separator = separator(first_line(text)).unwrap_or(SEPARATORS[0]);
        let mut builder = ReaderBuilder::new();
        builder.delimiter(separator as u8).has_headers(false).flexible(true).trim(Trim::All);
        Self { name, text, separator, reader: builder.from_reader(text.as_bytes()) }
    }

    /// Reads the next record that is not blank, and returns its line; `None` at the end.
    fn next(&mut self, fields: &mut StringRecord) -> Result<Option<usize>, DatasetError> {
        loop {
            let place = Place::Line(self.reader.position().line() as usize);
            let read = self.reader.read_record(fields);
            if !read.map_err(|error| Defect::Csv(error.to_string()).of(self.name, place))? {
                return Ok(None);
            }
            if fields.len() > 1 || fields.iter().any(|field| !field.is_empty()) {
                return Ok(Some(fields.position().map_or(0, |position| self.line(position))));
            }
        }
    }

    /// Returns the line of a record. Its position is that of the blank lines before it, which the reader skips.
    fn line(&self, position: &Position) -> usize {
        let bytes = self.text.as_bytes().get(position.byte() as usize..).unwrap_or_default();
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        position.line() as usize + blank.filter(|&&byte| byte == b'\n').count()
    }

    /// Returns the names in the first record.
    fn header(&self, line: usize, fields: &StringRecord) -> Result<Vec<String>, DatasetError> {
        let refuse = |defect: Defect| Err(defect.of(self.name, Place::Line(line)));
        if let Some(number) = fields.iter().find(|field| finite(field).is_some()) {
            let names = (1..fields.len()).map(|column| format!("x{column}{}", self.separator));
            let example = format!("{}label", names.take(EXAMPLE_MAX).collect::<String>());
            return refuse(Defect::NoHeader { number: number.into(), example });
        }
        let mut seen = HashMap::new();
        for (column, name) in (1..).zip(fields) {
            if name.is_empty() {
                return refuse(Defect::Unnamed(column));
            }
            if name.contains('\n') {
                return refuse(Defect::LineEnd);
            }
            if let Some(first) = seen.insert(name, column) {
                return refuse(Defect::Duplicate { name: name.into(), first, second: column });
            }
        }
        Ok(fields.iter().map(Into::into).collect())
    }

    fn check_width(
        &self,
        line: usize,
        fields: &StringRecord,
        columns: &Columns<'_>,
    ) -> Result<(), DatasetError> {
        let (found, expected) = (fields.len(), columns.names.len());
        if found == expected {
            return Ok(());
        }
        let is_cut = self.reader.position().byte() as usize == self.text.len()
            && !self.text.ends_with(['\n', '\r']);
        let cause = if fields.iter().any(|field| field.contains('\n')) {
            RaggedCause::OpenQuote
        } else if is_cut && found < expected {
            RaggedCause::Truncation
        } else {
            RaggedCause::Unknown
        };
        Err(Defect::Ragged { found, expected, cause }.of(self.name, Place::Line(line)))
    }
}

/// Returns the text of a label or owner.
fn role(field: &str) -> Result<&str, Defect> {
    if is_listed(&MISSING, field) {
        return Err(Defect::Missing);
    }
    if field.contains('\n') {
        return Err(Defect::LineEnd);
    }
    Ok(field)
}

fn number(field: &str) -> Result<f64, Defect> {
    finite(field).ok_or_else(|| {
        if is_listed(&MISSING, field) || is_listed(&MISSING_NUMBERS, field) {
            return Defect::Missing;
        }
        if field.contains('\n') {
            return Defect::LineEnd;
        }
        if field.parse::<f64>().is_ok() {
            return Defect::Infinite;
        }
        match finite(&field.replace(',', "")) {
            Some(_) => Defect::Comma(excerpt(field)),
            None => Defect::Text(excerpt(field)),
        }
    })
}

fn is_listed(list: &[&str], field: &str) -> bool {
    list.iter().any(|text| text.eq_ignore_ascii_case(field))
}

/// Returns the first line that is neither blank nor a comment.
pub(super) fn first_line(text: &str) -> &str {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    text.lines().find(is_content).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::columns::Roles;
    use super::super::data::Dataset;
    use super::super::labels::Labels;
    use super::super::prepare::Scales;
    use super::super::quantise::quantise;
    use crate::options::Split;
    use proptest::prelude::*;
    use smidgen_protocol::shard::Width;
    use std::ffi::OsStr;

    fn read_with(
        text: &str,
        labels: Labels,
        label: Option<&str>,
        owner: Option<&str>,
    ) -> Result<Dataset, String> {
        let roles = Roles { label: label.map(OsStr::new), owner };
        let dataset = Dataset::of_bytes("set.csv", text.as_bytes(), labels, roles);
        dataset.map_err(|error| error.to_string())
    }

    fn read(text: &str) -> Result<Dataset, String> {
        read_with(text, Labels::Classes, None, None)
    }

    fn rows(dataset: &Dataset) -> Vec<Vec<(usize, f64)>> {
        (0..dataset.row_count()).map(|row| dataset.row(row).entries().collect()).collect()
    }

    #[test]
    fn every_separator_is_detected() {
        for separator in [",", ";", "\t"] {
            let text = "\u{feff}x,\"the \"\"y\"\"; in m\",kind\r\n\r\n 1.5 ,-2e-3, walk \r\n0,1,\"run, fast\"\r\n";
            let text = text.replace(',', separator);
            let dataset = read(&text).unwrap();
            assert_eq!(rows(&dataset), [vec![(0, 1.5), (1, -0.002)], vec![(1, 1.0)]]);
            assert_eq!(dataset.column_names(), ["x", "the \"y\"; in m"]);
            let fast = format!("run{separator} fast");
            assert_eq!(dataset.class_names(), [fast.as_str(), "walk"]);
            assert_eq!(dataset.preparation().label.as_deref(), Some("kind"));
        }
    }

    #[test]
    fn label_is_the_named_the_usual_or_the_last_column() {
        let of = |header: &str, label| {
            let text = format!("{header}\n1,2,3\n4,5,6\n");
            let dataset = read_with(&text, Labels::Classes, label, None).unwrap();
            dataset.class_names().join(" ")
        };
        assert_eq!(of("a,b,c", None), "3 6");
        assert_eq!(of("a,Class,c", None), "2 5");
        assert_eq!(of("target,b,c", None), "1 4");
        assert_eq!(of("target,label,c", Some("label")), "2 5");
        assert_eq!(of("a,b,label", Some("a")), "1 4");
    }

    #[test]
    fn owner_is_not_a_feature() {
        let text = "x,who,y,class\n1,s10,2,a\n3,s9,4,b\n5,s10,6,b\n";
        let dataset = read_with(text, Labels::Binary, None, Some("who")).unwrap();
        assert_eq!(dataset.column_names(), ["x", "y"]);
        let split = Split::By("who".into());
        assert_eq!(dataset.deal(&split, 0).unwrap(), [vec![0, 2], vec![1]]);
        assert_eq!((dataset.owner(0), dataset.owner(1)), (Some("s10"), Some("s9")));
        let numbers = text.replace('s', "");
        let dataset = read_with(&numbers, Labels::Binary, Some("cla"), Some("who")).unwrap();
        assert_eq!(dataset.deal(&split, 0).unwrap(), [vec![1], vec![0, 2]], "9 is less than 10");
        let (training, held) = dataset.shuffle(1).hold_out(2).unwrap();
        assert_eq!(training.deal(&split, 0).unwrap(), [[0]], "an owner without rows has no worker");
        assert_eq!(held.deal(&split, 0).unwrap().concat().len(), 2);
    }

    #[test]
    fn invalid_table_is_refused_with_its_place() {
        let cases = [
            ("a,b,\"c\n1,2,3\n", ", line 1: the field goes over more than one line; a quotation"),
            (
                "a,b,c\n1,2,\"x\n4,5,y\n",
                ", line 2, column `c`: the field goes over more than one line",
            ),
            (
                "a,b,c\n1,\"2\n3\",y\n",
                ", line 2, column `b`: the field goes over more than one line",
            ),
            (
                "a,b,c\n1,\"1,000\",y\n",
                ", line 2, column `b`: `1,000` has a comma; write decimal points",
            ),
            ("", ": it contains no rows; the file is incomplete or the wrong one"),
            ("a,b\n", ": it contains no rows"),
            ("a\n1\n", ": there is no column of features besides the label"),
            ("5.1,3.5,setosa\n", ", line 1: `5.1` is a number, but the first line"),
            (
                "1,2\n",
                ", line 1: `1` is a number, but the first line names the columns; add a line such as `x1,label` before it",
            ),
            (",a,b\n0,1,2\n", ", line 1: column 1 has no name; name it, or leave it out"),
            ("a,b,a\n1,2,3\n", ", line 1: columns 1 and 3 are both called `a`; rename one"),
            (
                "label,class,x\n1,2,3\n",
                ": both `label` and `class` may have the labels; name the column by --label",
            ),
            (
                "a,b,c\n1,2,3\n\n1,2\n4,5,6\n",
                ", line 4: 2 fields, but the header has 3; complete the row",
            ),
            ("a,b,c\n1,2,3,4\n", ", line 2: 4 fields, but the header has 3; complete the row"),
            ("a,b,c\n1,2,3\n4,5", ", line 3: 2 fields, but the header has 3; the file ends here"),
            (
                "a,b,c\n1,\"2,3\n4,5,6\n",
                ", line 2: 2 fields, but the header has 3; a quotation mark before it",
            ),
            ("a,b,c\n\n \n1,,3\n", ", line 4, column `b`: the value is missing; fill it in"),
            ("a,b,c\n1,NaN,3\n", ", line 2, column `b`: the value is missing"),
            ("a,b,c\n1,n/a,3\n", ", line 2, column `b`: the value is missing"),
            ("a,b,c\n1,-,3\n", ", line 2, column `b`: the value is missing"),
            ("a,b,c\n1,2,\n", ", line 2, column `c`: the value is missing"),
            ("a,b,c\n1,2,?\n", ", line 2, column `c`: the value is missing"),
            ("a,b,c\n1,inf,3\n", ", line 2, column `b`: the value is not finite"),
            ("a,b,c\n1,1e999,3\n", ", line 2, column `b`: the value is not finite"),
            (
                "a;b;c\n1;3,5;3\n",
                ", line 2, column `b`: `3,5` has a comma; write decimal points, and no",
            ),
            (
                "a,b,c\n1,2,3\nParis,2,3\n",
                ", line 3, column `a`: `Paris` is not a number, and features are numbers",
            ),
            ("a,b\u{1b},c\n1,true,3\n", ", line 2, column `b\\u{1b}`: `true` is not a number"),
            ("a,b,c\n1,1_000,3\n", ", line 2, column `b`: `1_000` is not a number"),
            (
                "a,b,c\n1,2,x\n",
                " has 1 distinct labels in column `c` (name another by --label): give a file with 2 to",
            ),
            (
                "a,b,c\n1,2,\u{feff}x\n1,\u{feff}2,y\n",
                ", line 3, column `b`: `\\u{feff}2` is not a number",
            ),
            (
                "a\n1\n2\n",
                ": there is no column of features besides the label; fields are separated by commas",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("set.csv{expected}")), "{text:?}: {error}");
            assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn unknown_columns_and_wrong_labels_are_refused() {
        let text = "a,b,c\n1,2,x\n3,4,y\n";
        let error = |labels, label, owner| read_with(text, labels, label, owner).unwrap_err();
        let missing = error(Labels::Binary, Some("kind"), None);
        assert_eq!(missing, "set.csv: no column is called `kind`; the columns are a, b, c");
        let missing = error(Labels::Binary, None, Some("A"));
        assert_eq!(missing, "set.csv: no column is called `A`; the columns are a, b, c");
        let both = error(Labels::Binary, Some("c"), Some("c"));
        assert!(both.starts_with("set.csv: column `c` cannot both have the labels"), "{both}");
        let real = error(Labels::Real, None, None);
        assert!(real.starts_with("set.csv, line 2: the label `x` is not a number"), "{real}");
        let names: Vec<String> = (0..99).map(|column| format!("c{column}")).collect();
        let wide = format!("{}\n", names.join(","));
        let error = read_with(&wide, Labels::Real, Some("x"), None).unwrap_err();
        assert!(error.ends_with("c10, c11 and 87 more"), "{error}");
    }

    #[test]
    fn format_is_recognised_by_the_content() {
        let read = |name: &str, text: &str| {
            Dataset::of_bytes(name, text.as_bytes(), Labels::Binary, Roles::default())
        };
        for (name, text, is_table) in [
            ("data", "# a, b\n1 1:2\n-1 1:3\n", false),
            ("data.tsv", "time\tacc:x\tacc:y\n1\t2\t3\n4\t5\t6\n", true),
            ("data.csv", "time, acc:x, acc:y\n1,2,3\n4,5,6\n", true),
            ("data", "x,y\n1,2\n3,4\n", true),
            ("data", "x\ty\n1\t2\n3\t4\n", true),
            ("data.CSV", "x,y:z\n1,2\n3,4\n", true),
            ("data", "1 1:2,5\n", false),
        ] {
            let names = match read(name, text) {
                Ok(dataset) => dataset.column_names().len(),
                Err(error) => usize::from(!error.to_string().contains("not a feature")),
            };
            assert_eq!(names > 0, is_table, "{name}: {text}");
        }
    }

    /// Values of up to nine rows of up to five columns, and the class of each row.
    fn table() -> impl Strategy<Value = Vec<(Vec<f64>, usize)>> {
        let value = prop_oneof![Just(0.0), (-99..99i32).prop_map(f64::from), -1e9..1e9f64];
        (1..6usize).prop_flat_map(move |width| {
            let row = (prop::collection::vec(value.clone(), width), 0..2usize);
            prop::collection::vec(row, 2..9)
        })
    }

    proptest! {
        #[test]
        fn same_rows_have_the_same_shards_in_csv_and_libsvm(
            mut table in table(),
            separator in prop::sample::select(vec![",", ";", "\t"]),
            is_quoted: bool,
        ) {
            (table[0].1, table[1].1) = (0, 1);
            let width = table[0].0.len();
            let quote = if is_quoted { "\"" } else { "" };
            let line = |fields: Vec<String>| {
                let fields: Vec<_> =
                    fields.iter().map(|field| format!("{quote}{field}{quote}")).collect();
                format!("{}\n", fields.join(separator))
            };
            let names = (0..width).map(|column| format!("c{column}")).chain(["class".into()]);
            let (mut csv, mut libsvm) = (line(names.collect()), String::new());
            for (values, class) in &table {
                let fields = values.iter().map(f64::to_string).chain([["no", "yes"][*class].into()]);
                csv += &line(fields.collect());
                libsvm += &class.to_string();
                (1..).zip(values).for_each(|(index, value)| libsvm += &format!(" {index}:{value}"));
                libsvm.push('\n');
            }
            let read = |name, text: &str| {
                Dataset::of_bytes(name, text.as_bytes(), Labels::Binary, Roles::default()).unwrap()
            };
            let (csv, libsvm) = (read("set.csv", &csv), read("set", &libsvm));
            prop_assert_eq!(csv.class_names(), ["no", "yes"]);
            let order: Vec<usize> = (0..table.len()).collect();
            for seed in [None, Some(7)] {
                let shard = |dataset: &Dataset| {
                    let dataset = dataset.clone();
                    let dataset = seed.map_or(dataset.clone(), |seed| dataset.shuffle(seed));
                    let scales = match seed {
                        Some(_) => Scales::Standard,
                        None => Scales::Equal { shifts: true },
                    };
                    let preparation = dataset.preparation_with(scales, true);
                    preparation.ok().map(|preparation| {
                        quantise(&dataset.prepared(&preparation), &order, Width::I16)
                    })
                };
                prop_assert_eq!(shard(&csv), shard(&libsvm));
            }
        }
    }
}
