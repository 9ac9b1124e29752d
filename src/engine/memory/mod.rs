//! A store that forgets.
