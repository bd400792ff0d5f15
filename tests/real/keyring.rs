//! pullgate's reference parser and keyring against the kubelet's own, linked into `keyring-oracle` (`tests/oracle`):
//! the committed vectors, and tens of thousands of random references, keys and secrets.
//!
//! `TESTBED_SEED` repeats a run, `TESTBED_CASES` says how many random cases it has, and `TESTBED_WRITE_VECTORS=1`
//! writes the oracle's answers into the vectors, also those of questions that have none yet.

mod counts;
mod documents;
mod images;
mod keys;
mod random;

use std::env;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pullgate::reference::Reference;

use self::counts::Counts;
use self::random::Random;
use crate::Failure;
use crate::kubelet::{Answer, Ours, Question, Vector};
use crate::parts::Workshop;

/// Random cases of a run that does not say.
const CASES: u64 = 24_000;
/// Each kind of question and answer must occur at least once in so many cases.
const RAREST: usize = 6000;
/// How many differences are printed.
const SHOWN: usize = 5;

/// What came of one comparison.
type Outcome = Result<String, Failure>;

/// The oracle's program, and where a run may leave files.
struct Oracle {
    workshop: Workshop,
}

/// A question with both answers.
struct Case {
    question: Question,
    ours: Ours,
    theirs: Answer,
}

/// Every comparison with the oracle, by its name.
pub(crate) fn cases(dir: &Path) -> Result<[(&'static str, Outcome); 3], Failure> {
    let oracle = Oracle { workshop: Workshop::new(dir, &["keyring-oracle"])? };
    let (agree, notice) = oracle.random();
    Ok([
        ("keyring: the committed vectors are the kubelet's answers", oracle.vectors()),
        ("keyring: no random case is answered otherwise", agree),
        ("keyring: an order reversed on purpose is noticed", notice),
    ])
}

// === impl Oracle ===

impl Oracle {
    /// The kubelet's answers, in order.
    fn ask(&self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let mut lines = Vec::new();
        for question in questions {
            serde_json::to_writer(&mut lines, question)?;
            lines.push(b'\n');
        }
        let asked = self.workshop.file("keyring/questions.jsonl", lines)?;
        let [answers, log] = ["answers.jsonl", "log"].map(|name| asked.with_file_name(name));
        let status = Command::new(self.workshop.binary("keyring-oracle"))
            .env_clear()
            .stdin(File::open(asked)?)
            .stdout(File::create(&answers)?)
            // It complains of every key that is no URL, as a kubelet does.
            .stderr(File::create(&log)?)
            .status()?;
        let answers = fs::read_to_string(answers)?.lines().map(serde_json::from_str).collect::<Result<Vec<_>, _>>()?;
        if !status.success() || answers.len() != questions.len() {
            let log = fs::read_to_string(log)?;
            let last = log.lines().last().unwrap_or_default();
            return Err(format!("{} of {} answers, then {status}: {last}", answers.len(), questions.len()).into());
        }
        Ok(answers)
    }

    /// The committed answers must be those that the kubelet gives.
    fn vectors(&self) -> Outcome {
        let write = env::var_os("TESTBED_WRITE_VECTORS").is_some();
        let mut count = 0;
        for path in vector_files()? {
            let text = fs::read_to_string(&path)?;
            let mut vectors = text.lines().map(serde_json::from_str).collect::<Result<Vec<Vector>, _>>()?;
            let questions: Vec<Question> = vectors.iter().map(|vector| vector.question.clone()).collect();
            for (vector, now) in vectors.iter_mut().zip(self.ask(&questions)?) {
                let equal = |before: &Answer| vector.question.ask_pullgate().makes_equal(before, &now);
                if !vector.answer.as_ref().is_some_and(equal) {
                    if !write {
                        let (path, line) = (path.display(), serde_json::to_string(&vector)?);
                        return Err(format!("{path}: {line}\nbut the kubelet answers {now:?}").into());
                    }
                    vector.answer = Some(now);
                }
            }
            count += vectors.len();
            if write {
                let lines = vectors.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
                fs::write(&path, lines.join("\n") + "\n")?;
            }
        }
        Ok(format!("{count} vectors"))
    }

    /// Random cases: pullgate and the kubelet must not differ, and every kind of case must be among them. The second
    /// result is whether the same comparison notices candidates in the wrong order.
    fn random(&self) -> (Outcome, Outcome) {
        let started = Instant::now();
        let (seed, cases) = match self.random_cases() {
            Ok(seed_and_cases) => seed_and_cases,
            Err(failure) => return (Err(failure), Err("there is nothing to compare".into())),
        };
        let counts = cases.iter().fold(Counts::default(), Counts::with);
        println!("\nkeyring oracle: TESTBED_SEED={seed}\n{counts}");
        let different: Vec<&Case> = cases.iter().filter(|case| !case.ours.agrees_with(&case.theirs)).collect();
        println!("keyring oracle: compared {}, differences {}\n", cases.len(), different.len());
        (agreement(seed, &cases, &counts, &different, started), notices(&cases))
    }

    fn random_cases(&self) -> Result<(u64, Vec<Case>), Failure> {
        let seed = number("TESTBED_SEED")?.unwrap_or_else(|| RandomState::new().hash_one(()));
        let count = number("TESTBED_CASES")?.unwrap_or(CASES);
        let mut random = Random::new(seed);
        let questions: Vec<Question> = (0..count).map(|_| question(&mut random)).collect();
        let answers = self.ask(&questions)?;
        let case = |(question, theirs): (Question, Answer)| Case { ours: question.ask_pullgate(), question, theirs };
        Ok((seed, questions.into_iter().zip(answers).map(case).collect()))
    }
}

/// One of three is about a reference, one of four about a match, the others are lookups.
fn question(random: &mut Random) -> Question {
    let name_of =
        |image: &str| Reference::parse(image).map_or_else(|_| image.to_owned(), |image| image.name().to_owned());
    match random.below(12) {
        0..4 => Question::Parse { image: images::any(random) },
        4..7 => {
            let repository = name_of(&images::known(random));
            let key = keys::near(random, &repository);
            // Now and then the other way round, or on something that no image can name.
            match random.below(20) {
                0 => Question::Match { repository: key, key: repository },
                1 => Question::Match { repository: keys::near(random, &repository), key },
                _ => Question::Match { key, repository },
            }
        }
        _ => {
            let image = images::known(random);
            let secrets = documents::secrets(random, &name_of(&image));
            Question::Lookup { image, secrets }
        }
    }
}

fn agreement(seed: u64, cases: &[Case], counts: &Counts, different: &[&Case], started: Instant) -> Outcome {
    if !different.is_empty() {
        let mut text = format!("{} of {} cases differ, with TESTBED_SEED={seed}", different.len(), cases.len());
        for Case { question, ours, theirs } in different.iter().take(SHOWN) {
            let question = serde_json::to_string(question)?;
            text += &format!("\n{question}\npullgate: {:?}\nkubelet:  {theirs:?}", ours.answer);
        }
        return Err(text.into());
    }
    let rare = counts.below(cases.len() / RAREST);
    if !rare.is_empty() {
        return Err(format!("with TESTBED_SEED={seed} too few cases are {}", rare.join(", ")).into());
    }
    Ok(format!("{} cases in {:.1} s", cases.len(), started.elapsed().as_secs_f32()))
}

/// Every case with two candidates whose order counts, told in the wrong order.
fn notices(cases: &[Case]) -> Outcome {
    let ordered: Vec<&Case> = cases.iter().filter(|case| case.ours.has_an_order()).collect();
    let noticed = ordered.iter().filter(|case| !case.ours.reversed().agrees_with(&case.theirs)).count();
    if ordered.is_empty() || noticed < ordered.len() {
        return Err(format!("of {} cases in the wrong order only {noticed} are noticed", ordered.len()).into());
    }
    Ok(format!("{noticed} of {}", ordered.len()))
}

fn vector_files() -> Result<Vec<PathBuf>, Failure> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle");
    let mut files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    files.sort();
    Ok(files)
}

fn number(variable: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = env::var_os(variable) else { return Ok(None) };
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    parsed.map(Some).ok_or_else(|| format!("{variable} is no number: {}", value.display()).into())
}
