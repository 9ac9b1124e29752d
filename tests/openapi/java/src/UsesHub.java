import gapless.client.ApiClient;
import gapless.client.ApiException;
import gapless.client.api.CallerApi;
import gapless.client.api.EventsApi;
import gapless.client.api.TopicsApi;
import gapless.client.model.Envelope;
import gapless.client.model.EventEnvelope;
import gapless.client.model.Page;
import gapless.client.model.Problem;
import gapless.client.model.PublishRequest;
import gapless.client.model.Receipt;
import gapless.client.model.ReceiptList;
import gapless.client.model.Topic;
import gapless.client.model.TopicSettings;
import java.util.List;

/** Publishes, reads, configures and is refused, by the generated client alone. Prints what it has read. */
public class UsesHub {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient().setBasePath(arguments[0]);
        EventsApi events = new EventsApi(client);
        TopicsApi topics = new TopicsApi(client);

        Receipt receipt = publish(events, new PublishRequest(envelope("one"))).getReceipt();
        check(receipt.getTopic().equals("jobs/42"), receipt);
        List<Envelope> batch = List.of(envelope("two"), envelope("three").close(true));
        ReceiptList receipts = publish(events, new PublishRequest(batch)).getReceiptList();
        check(receipts.getEvents().size() == 2, receipts);

        Page page = events.subscribe(List.of("jobs/*"), null, "earliest", null, null, null, 10, null, null, null);
        for (EventEnvelope event : page.getEvents()) {
            System.out.println(event.getId().equals(receipt.getId()) + " " + event.getData());
        }
        check(page.getNext().equals(receipts.getEvents().get(1).getId()), page);

        Topic topic = topics.configureTopic("jobs/42", new TopicSettings().closed(false).retry(5));
        check(!topic.getClosed() && topic.getRetry() == 5 && topic.getRetention().getMaxAge() == null, topic);
        check(new CallerApi(client).whoami().getAdmin(), "the hub is open");
        try {
            topics.getTopic("unused");
            throw new IllegalStateException("there is no such topic");
        } catch (ApiException refused) {
            check(Problem.fromJson(refused.getResponseBody()).getCode().equals("topic-unknown"), refused);
        }
    }

    private static Envelope envelope(String data) {
        return new Envelope().topic("jobs/42").data(data);
    }

    private static gapless.client.model.Publish200Response publish(EventsApi events, PublishRequest request) throws ApiException {
        return events.publish(null, null, null, null, null, null, null, null, null, request);
    }

    private static void check(boolean holds, Object shown) {
        if (!holds) {
            throw new IllegalStateException(String.valueOf(shown));
        }
    }
}
