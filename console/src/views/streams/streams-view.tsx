export function StreamsView() {
  return <h1>Streams</h1>;
}
