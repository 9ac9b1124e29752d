import { render } from 'preact';
import { App } from './app';
import { followAccess } from './hub/access';
import { setTheme, theme } from './theme';

setTheme(theme.value);
followAccess();
render(<App />, document.getElementById('app')!);
