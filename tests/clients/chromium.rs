//! A real browser with one page, driven by JavaScript with playwright.

use std::process::Command;

use serde_json::Value;

use super::{
    child::{Child, here, tool},
    support::eventually,
};

/// Headless Chromium.
pub(crate) struct Chromium {
    driver: Child,
    answers: usize,
}

impl Chromium {
    /// Starts it with more arguments of its own, and opens `url`.
    pub(crate) fn open(arguments: &[&str], url: &str) -> Self {
        let mut command = Command::new(tool("node"));
        let driver = Child::spawn(command.arg(here("tests/clients/chromium.mjs")).args(arguments));
        let mut chromium = Self { driver, answers: 0 };
        chromium.answer();
        chromium.run(&format!("await page.goto({url:?})"));
        chromium
    }

    /// Runs JavaScript with playwright's `page`; returns its result.
    pub(crate) fn run(&mut self, script: &str) -> Value {
        self.driver.say(&Value::from(script).to_string());
        let answer = self.answer();
        assert!(answer["error"].is_null(), "{script}: {}", answer["error"]);
        answer["value"].clone()
    }

    /// The value of `expression` in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        self.run(&format!("return await page.evaluate(() => {expression})"))
    }

    fn answer(&mut self) -> Value {
        let driver = &mut self.driver;
        eventually("the browser answers", || {
            assert!(driver.exit_code().is_none(), "the browser ended: run `make install`");
            driver.lines().len() > self.answers
        });
        self.answers += 1;
        serde_json::from_str(&driver.lines()[self.answers - 1]).unwrap()
    }
}
