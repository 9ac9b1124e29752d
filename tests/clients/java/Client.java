import com.launchdarkly.eventsource.*;
import java.net.URI;

/** LaunchDarkly's okhttp-eventsource, told to go on after errors. It takes a 204 for a stream that ends at once, and asks on: its
 * user stops at `hub.end`. */
class Client {
    public static void main(String[] arguments) throws Exception {
        var builder = new EventSource.Builder(URI.create(arguments[0])).errorStrategy(ErrorStrategy.alwaysContinue());
        try (EventSource source = builder.build()) {
            for (StreamEvent each : source.anyEvents()) {
                if (each instanceof MessageEvent event) {
                    System.out.println("{\"event\":" + quoted(event.getEventName()) + ",\"id\":"
                        + quoted(event.getLastEventId()) + ",\"data\":" + quoted(event.getData()) + "}");
                    if (event.getEventName().equals("hub.end")) break;
                }
            }
        }
        System.exit(0);
    }

    static String quoted(String text) {
        if (text == null) return "\"\"";
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
