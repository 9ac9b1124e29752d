// .NET's HttpClient. It gives the stream of one response; the last id, the delay and the end are left to its user.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;

class Client {
    static int Main(string[] arguments) => Listen(arguments[0]).GetAwaiter().GetResult();

    static async Task<int> Listen(string url) {
        // Its default ends every request, a stream too, after 100 s.
        var client = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        string lastId = null;
        int delay = 1000;
        while (true) {
            try {
                var request = new HttpRequestMessage(HttpMethod.Get, url);
                request.Headers.Add("Accept", "text/event-stream");
                if (lastId != null) request.Headers.Add("Last-Event-ID", lastId);
                // Without it the answer is given when it has ended.
                using (var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead)) {
                    if ((int)response.StatusCode == 204) return 0;
                    var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
                    string line, name = "message", id = null;
                    var data = new List<string>();
                    while ((line = await reader.ReadLineAsync()) != null) {
                        int colon = line.IndexOf(": ", StringComparison.Ordinal);
                        string value = colon < 0 ? "" : line.Substring(colon + 2);
                        switch (colon < 0 ? line : line.Substring(0, colon)) {
                            case "data": data.Add(value); break;
                            case "event": name = value; break;
                            case "id": id = value; break;
                            case "retry": delay = int.Parse(value); break;
                        }
                        if (line != "") continue;
                        if (data.Count > 0) {
                            lastId = id ?? lastId;
                            Console.WriteLine("{\"event\":" + Quoted(name) + ",\"id\":" + Quoted(lastId) + ",\"data\":"
                                + Quoted(string.Join("\n", data)) + "}");
                        }
                        name = "message";
                        id = null;
                        data.Clear();
                    }
                }
            } catch (Exception error) when (error is HttpRequestException || error is IOException) {
                // The hub is away, or the connection broke.
            }
            await Task.Delay(delay);
        }
    }

    static string Quoted(string text) =>
        '"' + text.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n") + '"';
}
