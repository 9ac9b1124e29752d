# Ruby's Net::HTTP. It reads one response; the last id, the delay and the end are left to its user.
require "json"
require "net/http"

uri = URI(ARGV[0])
last_id = nil
delay = 1.0
loop do
  request = Net::HTTP::Get.new(uri, "Accept" => "text/event-stream")
  request["Last-Event-ID"] = last_id if last_id
  begin
    # Without `max_retries` it sends a broken request again by itself, with the id from before.
    Net::HTTP.start(uri.host, uri.port, open_timeout: 5, read_timeout: 30, max_retries: 0) do |http|
      http.request(request) do |response|
        exit if response.code == "204"
        rest = "".b
        event, data, id = "message", [], nil
        response.read_body do |piece|
          *lines, rest = (rest + piece).split("\n", -1)
          lines.each do |line|
            field, value = line.force_encoding("UTF-8").split(": ", 2)
            case field
            when "id" then id = value
            when "event" then event = value
            when "data" then data << value.to_s
            when "retry" then delay = value.to_i / 1000.0
            when nil
              unless data.empty?
                last_id = id || last_id
                puts JSON.generate(event:, id: last_id, data: data.join("\n"))
                $stdout.flush
              end
              event, data, id = "message", [], nil
            end
          end
        end
      end
    end
  rescue IOError, SystemCallError, Timeout::Error, Net::HTTPBadResponse
    # The hub is away, or the connection broke.
  end
  sleep delay
end
