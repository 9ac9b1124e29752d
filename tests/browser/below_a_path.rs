//! The page below a path of another site, behind a proxy.

use crate::{
    Page,
    chromium::Chromium,
    proxy::{Kind, Proxy},
    support::{eventually, hub::Hub},
};

#[test]
fn below_a_path_of_a_proxy_the_page_watches_and_publishes_as_at_the_root() {
    let hub = Hub::start();
    let proxy = Proxy::before(hub.address, Kind::NginxBelow);
    let mut page = Page(Chromium::open(&format!("http://{}/hub/", proxy.address)));
    page.says("Live");
    let example = page.text("#log");
    assert!(example.contains(&format!("'http://{}/hub/publish?topic=demo'", proxy.address)), "{example}");
    page.publish("below a path");
    page.shows(&["below a path".into()]);
    page.0.run("await page.fill('#topic', 'a//b'); await page.click('text=Watch')");
    eventually("it says why it was refused", || page.text("#word").contains("segment"));
    assert_eq!(hub.kept("demo"), ["below a path"]);
}
