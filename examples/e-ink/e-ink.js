// Answers on paper. ES5 and XMLHttpRequest, for the browser of an old reader. The hub merges half a second of an answer into
// one piece (batch_ms), and the page is drawn twice a second at most, when its text has changed.
(function () {
  'use strict';
  var HUB = location.pathname.replace(/\/site\/[^?]*$/, '/');
  var DRAW = 500;       // Milliseconds between two drawings: paper shows two a second.
  var LIST = 5000;      // Between two looks at the list.
  var AGAIN = 3000;     // Until a lost connection is opened again, and between two polls.
  var PATIENCE = 6000;  // Until a browser that shows nothing of an unfinished response is served by polls.
  var LINE = 36;        // The height of a line, as in the style sheet.
  var token = (/[?&]token=([^&]*)/.exec(location.search) || [])[1];

  var list = byId('list'), reader = byId('reader'), page = byId('page'), text = byId('text');
  var run = null;       // The id of the run that is read; null: the list is shown.
  var request = null, timer = null, waiting = null, turns = 0;
  var received = '', why = '', drawn = null, drawnHow = '', how = '';
  var number = 0, height = 0, follows = true;

  function byId(id) { return document.getElementById(id); }

  function ask(method, path, done) {
    var xhr = new XMLHttpRequest();
    xhr.open(method, HUB + path, true);
    if (token) xhr.setRequestHeader('Authorization', 'Bearer ' + decodeURIComponent(token));
    xhr.onreadystatechange = function () { done(xhr, xhr.readyState === 4); };
    xhr.send(null);
    return xhr;
  }

  function parsed(xhr) {
    try { return JSON.parse(xhr.responseText); } catch (error) { return {}; }
  }

  // ---- The list

  var listed = null;

  function showList() {
    stop();
    run = null;
    reader.style.display = 'none';
    list.style.display = 'block';
    listed = null;
    loadList();
  }

  function loadList() {
    var mine = turns;
    request = ask('GET', 'runs?limit=30', function (xhr, over) {
      if (!over || mine !== turns) return;
      if (xhr.responseText !== listed) {
        listed = xhr.responseText;
        drawList(xhr.status, parsed(xhr));
      }
      waiting = setTimeout(loadList, LIST);
    });
  }

  function drawList(status, answer) {
    var runs = answer.runs || [], lines = byId('runs'), i;
    // Those that run come first; both parts keep the hub's order, the newest first.
    var sorted = [];
    for (i = 0; i < runs.length; i++) if (runs[i].status === 'running') sorted.push(runs[i]);
    for (i = 0; i < runs.length; i++) if (runs[i].status !== 'running') sorted.push(runs[i]);
    while (lines.firstChild) lines.removeChild(lines.firstChild);
    for (i = 0; i < sorted.length; i++) lines.appendChild(line(sorted[i]));
    var told = answer.detail || (status === 200 ? '' : 'The hub does not answer. Trying again.');
    if (!told) told = sorted.length ? 'Tap one to read it.' : 'There is none yet.';
    byId('told').textContent = told;
  }

  function line(entry) {
    var item = document.createElement('li'), link = document.createElement('a');
    var name = document.createElement('b'), state = document.createElement('span');
    name.textContent = entry.model || entry.provider;
    state.textContent = words(entry.status) + ', begun ' + entry.started.replace('T', ' ').slice(0, 16) + (entry.topic.indexOf('runs/') ? ', ' + entry.topic : '');
    link.href = '#' + entry.run;
    link.appendChild(name);
    link.appendChild(state);
    item.appendChild(link);
    return item;
  }

  function words(status) {
    return status === 'running' ? 'being written' : status.replace('_', ' ');
  }

  // ---- A run

  function read(id) {
    stop();
    run = id;
    received = why = how = drawnHow = '';
    drawn = null;
    number = 0;
    follows = true;
    list.style.display = 'none';
    reader.style.display = 'block';
    text.textContent = '';
    text.appendChild(document.createTextNode(''));
    fit();
    how = 'opening';
    timer = setInterval(draw, DRAW);
    draw();
    stream(id);
  }

  // What was begun before this is not heard any more.
  function stop() {
    turns++;
    clearTimeout(waiting);
    clearInterval(timer);
    if (request) request.abort();
    request = null;
  }

  // The response is the whole text from its start, as far as it has come: a lost connection needs no bookkeeping.
  function stream(id) {
    var heard = false, left = false, mine = turns;
    request = ask('GET', 'runs/' + id + '/events?format=text&batch_ms=' + DRAW, function (xhr, over) {
      var now = '';
      if (mine !== turns || left) return;
      // Some old browsers show nothing of a response before its end, or throw.
      try { now = xhr.readyState >= 3 && xhr.status === 200 ? xhr.responseText : ''; } catch (error) { now = ''; }
      if (now.length) {
        heard = true;
        if (now.length >= received.length) received = now;
        if (!over) how = words('running');
      }
      if (over) look(id, heard);
    });
    waiting = setTimeout(function () {
      if (mine !== turns || heard) return;
      left = true;
      request.abort();
      look(id, false);
    }, PATIENCE);
  }

  // How the run stands, and what it has said: after its stream, or instead of one.
  function look(id, streams) {
    var mine = turns;
    clearTimeout(waiting);
    request = ask('GET', 'runs/' + id, function (xhr, over) {
      if (!over || mine !== turns) return;
      var state = parsed(xhr), known = xhr.status === 200;
      if (known) {
        received = state.text;
        how = words(state.status);
        why = state.error ? '\n\n[' + how + ': ' + state.error.message + ']' : '';
      } else {
        how = state.detail || 'connecting';
      }
      if (known ? state.status === 'running' : xhr.status === 0 || xhr.status === 429 || xhr.status >= 500) {
        waiting = setTimeout(function () { if (streams) stream(id); else look(id, false); }, AGAIN);
      }
    });
  }

  // ---- The page

  function fit() {
    height = Math.max(3, Math.floor((window.innerHeight - 76) / LINE)) * LINE;
    page.style.height = height + 'px';
  }

  function pages() { return Math.max(1, Math.ceil(text.offsetHeight / height)); }

  function draw() {
    var whole = received + why;
    if (whole === drawn && how === drawnHow) return;
    if (whole !== drawn) {
      drawn = whole;
      // One node, so that nothing before the new words is laid out again by an old engine.
      text.firstChild.data = drawn || '…';
    }
    drawnHow = how;
    show();
  }

  function show() {
    var count = pages();
    if (follows || number >= count) number = count - 1;
    // Room below the text, so that the last page does not repeat lines of the one before.
    byId('rest').style.height = count * height - text.offsetHeight + 'px';
    page.scrollTop = number * height;
    byId('where').textContent = (number + 1) + ' of ' + count;
    byId('how').textContent = how;
  }

  function turn(by) {
    number = Math.min(Math.max(number + by, 0), pages() - 1);
    // Who is at the last page sees it grow; who reads an earlier one stays there.
    follows = number === pages() - 1;
    show();
  }

  page.onclick = function (event) {
    turn((event || window.event).clientX < page.offsetWidth / 2 ? -1 : 1);
  };
  document.onkeydown = function (event) {
    var code = (event || window.event).keyCode;
    if (!run) return;
    if (code === 37 || code === 33) turn(-1);
    if (code === 39 || code === 34 || code === 32) turn(1);
  };
  window.onresize = function () {
    if (!run) return;
    fit();
    turn(0);
  };

  function go() {
    var id = location.hash.slice(1);
    if (/^\w+$/.test(id)) read(id); else showList();
  }
  window.onhashchange = go;
  go();
}());
