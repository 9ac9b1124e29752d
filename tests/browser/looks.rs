//! The page fits wide and narrow screens, light and dark, and is accessible by keyboard and screen reader.

use serde_json::json;

use crate::{
    Page,
    support::{eventually, hub::Hub},
};

/// A desktop and a phone, in CSS pixels.
const SCREENS: [(u32, u32); 2] = [(1280, 800), (390, 844)];

/// Screenshots of the last run, for inspection: `target/tmp/page-*.png`.
const PICTURES: &str = env!("CARGO_TARGET_TMPDIR");

#[test]
fn it_fits_wide_and_narrow_screens_light_and_dark() {
    let hub = Hub::start();
    for step in 1..=6 {
        hub.publish("demo&event=progress", &format!("Step {step} of 6 is done"));
    }
    hub.publish("demo", &format!("{{\"a\":\"{}\"}}", "rather-long-".repeat(30)));
    let mut page = Page::open(&hub);
    eventually("the rows are there", || page.rows().len() == 7);
    for (width, height) in SCREENS {
        for scheme in ["light", "dark"] {
            page.0.run(&format!(
                "await page.setViewportSize({{ width: {width}, height: {height} }});
                 await page.emulateMedia({{ colorScheme: '{scheme}' }});
                 await page.screenshot({{ path: '{PICTURES}/page-{width}-{scheme}.png' }})"
            ));
            let spills = "[document.documentElement.scrollWidth > innerWidth, document.documentElement.scrollHeight > innerHeight]";
            assert_eq!(page.0.eval(spills), json!([false, false]), "{width} {scheme}");
        }
    }
}

/// WCAG's contrast of each element's colour with the background it stands on.
pub(crate) const CONTRASTS: &str = "{
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(n => n / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = node => { const colour = getComputedStyle(node).backgroundColor;
        return colour === 'rgba(0, 0, 0, 0)' ? ground(node.parentElement) : colour; };
    return [...document.querySelectorAll('h1, header p, label, input, select, textarea, button, #word, #last, #using, #hint, #log *')]
        .map(node => { const pair = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
            return [node.outerHTML.slice(0, 60), (pair[0] + 0.05) / (pair[1] + 0.05)]; })
        .filter(([, contrast]) => contrast < 4.5); }";

#[test]
fn its_words_stand_out_and_its_controls_have_names() {
    let hub = Hub::start();
    hub.publish("demo&event=progress", "Step");
    let mut page = Page::open(&hub);
    eventually("the row is there", || page.rows().len() == 1);
    for scheme in ["light", "dark"] {
        page.0.run(&format!("await page.emulateMedia({{ colorScheme: '{scheme}' }})"));
        assert_eq!(page.0.eval(CONTRASTS), json!([]), "{scheme}: WCAG AA asks for 4.5");
    }
    let nameless =
        "[...document.querySelectorAll('input, select, textarea')].filter(control => !control.labels.length).length";
    assert_eq!(page.0.eval(nameless), json!(0));
    page.0.run("await page.getByRole('status').first().waitFor()");
    // From the keyboard alone: the topic, then Tab, and Enter.
    page.0.run("await page.getByLabel('Topic or pattern').fill('keys'); await page.keyboard.press('Enter')");
    page.says("Live");
    page.0.run("await page.getByLabel('Data').fill('typed'); await page.keyboard.press('Control+Enter')");
    page.shows(&["typed".into()]);
}
