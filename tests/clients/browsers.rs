//! Chromium's own EventSource, and Microsoft's fetch-event-source in its home, on a page that the hub serves.

use serde_json::json;

use crate::{
    chromium::Chromium,
    story::{self, Heard, Listener},
};

impl Listener for Chromium {
    fn heard(&mut self) -> Vec<Heard> {
        serde_json::from_value(self.eval("window.heard")).unwrap()
    }

    fn stopped(&mut self) -> bool {
        self.eval("window.stopped") == json!(true)
    }
}

fn run(script: &str) {
    story::tell(|url| {
        let (hub, _) = url.split_once("/events").unwrap();
        let mut chromium = Chromium::open(hub);
        chromium.run("await page.addScriptTag({ content: bundle('@microsoft/fetch-event-source', 'sse') })");
        chromium.eval(&format!("{{ window.heard = []; window.stopped = false; const url = {url:?}; {script} }}"));
        chromium
    });
}

#[test]
fn chromiums_eventsource_outlives_its_hub_and_stops_at_the_end() {
    run("const source = new EventSource(url);
         source.onmessage = ({ lastEventId, data }) => heard.push({ id: lastEventId, data });
         source.onerror = () => { stopped = source.readyState === EventSource.CLOSED; };");
}

#[test]
fn fetch_event_source_outlives_its_hub_and_stops_at_the_end() {
    run("class End extends Error {}
         sse.fetchEventSource(url, {
             async onopen(response) { if (response.status === 204) throw new End(); },
             onmessage({ id, event, data }) { if (id && !event) heard.push({ id, data }); },
             onclose() { throw new Error('come back'); },
             onerror(error) { if (error instanceof End) throw error; },
         }).catch(() => { stopped = true; });");
}
