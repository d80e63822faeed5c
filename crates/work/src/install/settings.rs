//! Asks every action whether its settings will do.

use serde_json::{Map, Value};

use crate::action::Actions;
use crate::manifest::{Declared, Deed, Manifest, Problem, Step, Work};

/// What the actions do not like about their settings. An action that is not there is not spoken of.
pub fn check_settings(manifest: &Manifest, actions: &Actions) -> Vec<Problem> {
    let asked = Asked { manifest, actions };
    let bindings = manifest.bindings.iter().flat_map(|one| asked.of(one, &one.spec.work));
    let hooks = manifest.hooks.iter().flat_map(|one| asked.of(one, &one.spec.work));
    let schedules = manifest.schedules.iter().flat_map(|one| asked.of(one, &one.spec.work));
    bindings.chain(hooks).chain(schedules).collect()
}

struct Asked<'a> {
    manifest: &'a Manifest,
    actions: &'a Actions,
}

impl Asked<'_> {
    fn of<T>(&self, declared: &Declared<T>, work: &Work) -> Vec<Problem> {
        let mut wrong = Vec::new();
        self.ask("with", &work.action, &work.with, &mut wrong);
        self.steps("steps", &work.steps, &mut wrong);
        let problem = |(path, message): (String, String)| {
            let key = path.split(['.', '[']).next().unwrap_or_default().to_owned();
            self.manifest.problem(declared, &key, format!("`{path}`: {message}"), None)
        };
        wrong.into_iter().map(problem).collect()
    }

    fn ask(
        &self,
        path: &str,
        action: &str,
        with: &Map<String, Value>,
        wrong: &mut Vec<(String, String)>,
    ) {
        let Some(action) = self.actions.get(action) else { return };
        if let Err(message) = action.check(&Value::Object(with.clone())) {
            wrong.push((path.to_owned(), message));
        }
    }

    fn steps(&self, path: &str, steps: &[Step], wrong: &mut Vec<(String, String)>) {
        for (index, step) in steps.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match &step.deed {
                Deed::Act { action, with, .. } => {
                    self.ask(&format!("{path}.with"), action, with, wrong);
                }
                Deed::Parallel(steps) => self.steps(&format!("{path}.parallel"), steps, wrong),
                Deed::Sleep { .. } | Deed::Wait { .. } | Deed::Call(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Action, Call, Outcome, Work};

    struct Picky;

    impl Action for Picky {
        fn name(&self) -> &'static str {
            "x.post"
        }

        fn check(&self, with: &Value) -> Result<(), String> {
            if with.get("loud").is_some() { Err("not so loud".to_owned()) } else { Ok(()) }
        }

        fn run<'a>(&'a self, _call: &'a Call) -> Work<'a> {
            Box::pin(async { Outcome::Done(Value::Null) })
        }
    }

    #[test]
    fn an_action_says_what_it_does_not_like_at_its_settings() {
        let text = "[[binding]]\nname = 'a'\non = 't'\nwhen = 'x'\naction = 'x.post'\nwith = { loud = true }\n
                    [[binding]]\nname = 'b'\non = 't'\nwhen = 'x'\naction = 'x.post'\nwith = { low = true }\n";
        let manifest = Manifest::parse(text).unwrap();
        let problems = check_settings(&manifest, &Actions::default().with(Picky));
        let said: Vec<_> = problems.iter().map(|one| (one.line, one.message.as_str())).collect();
        assert_eq!(said, [(6, "`with`: not so loud")]);
        assert!(check_settings(&manifest, &Actions::default()).is_empty());
    }
}
