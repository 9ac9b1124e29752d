import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.*;
import java.time.Duration;
import java.util.*;

/** The JDK's own HttpClient. It gives the lines of one response; the last id, the delay and the end are left to its user. */
class Jdk {
    static String event = "message", id, lastId;
    static List<String> data = new ArrayList<>();
    static long delay = 1000;

    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
        while (true) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).header("Accept", "text/event-stream");
            if (lastId != null) request.header("Last-Event-ID", lastId);
            blank();
            try {
                var response = client.send(request.build(), HttpResponse.BodyHandlers.ofLines());
                if (response.statusCode() == 204) System.exit(0);
                response.body().forEach(Jdk::line);
            } catch (IOException | UncheckedIOException broken) {
                // The hub is away, or the connection broke.
            }
            Thread.sleep(delay);
        }
    }

    static void line(String line) {
        int colon = line.indexOf(": ");
        String value = colon < 0 ? "" : line.substring(colon + 2);
        switch (colon < 0 ? line : line.substring(0, colon)) {
            case "data" -> data.add(value);
            case "event" -> event = value;
            case "id" -> id = value;
            case "retry" -> delay = Long.parseLong(value);
            case "" -> {
                if (line.isEmpty() && !data.isEmpty()) {
                    if (id != null) lastId = id;
                    System.out.println("{\"event\":" + Client.quoted(event) + ",\"id\":" + Client.quoted(lastId)
                        + ",\"data\":" + Client.quoted(String.join("\n", data)) + "}");
                }
                if (line.isEmpty()) blank();
            }
        }
    }

    static void blank() {
        event = "message";
        id = null;
        data.clear();
    }
}
