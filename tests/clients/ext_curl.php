<?php
// PHP's ext-curl. It reads one response; the last id, the delay and the end are left to its user.
$lastId = null;
$delay = 1000;
while (true) {
    $headers = ['Accept: text/event-stream'];
    if ($lastId !== null) {
        $headers[] = "Last-Event-ID: $lastId";
    }
    $rest = '';
    [$event, $data, $id] = ['message', [], null];
    $curl = curl_init($argv[1]);
    curl_setopt_array($curl, [
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_CONNECTTIMEOUT => 5,
        CURLOPT_WRITEFUNCTION => function ($curl, $piece) use (&$rest, &$event, &$data, &$id, &$lastId, &$delay) {
            $lines = explode("\n", $rest . $piece);
            $rest = array_pop($lines);
            foreach ($lines as $line) {
                [$field, $value] = explode(': ', $line, 2) + [1 => ''];
                if ($field === 'data') {
                    $data[] = $value;
                } elseif ($field === 'event') {
                    $event = $value;
                } elseif ($field === 'id') {
                    $id = $value;
                } elseif ($field === 'retry') {
                    $delay = (int) $value;
                } elseif ($line === '') {
                    if ($data) {
                        $lastId = $id ?? $lastId;
                        echo json_encode(['event' => $event, 'id' => $lastId, 'data' => implode("\n", $data)]), "\n";
                    }
                    [$event, $data, $id] = ['message', [], null];
                }
            }
            return strlen($piece);
        },
    ]);
    curl_exec($curl);
    if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) === 204) {
        exit(0);
    }
    usleep($delay * 1000);
}
