<?php
// Symfony's own publisher, with a ready token: `symfony.php URL TOKEN`. Prints the ids of its updates.

require '/usr/share/php/Symfony/Component/HttpClient/autoload.php';
require '/usr/share/php/Symfony/Component/Mercure/autoload.php';

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

[, $url, $token] = $argv;
$hub = new Hub($url, new StaticTokenProvider($token));
$book = 'https://example.com/clients/1';
foreach ([
    new Update([$book, 'https://example.com/clients/alternate'], '{"from":"symfony"}'),
    new Update($book, '{"from":"symfony, private"}', true, 'urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb', 'changed', 4000),
] as $update) {
    echo json_encode(['client' => 'symfony', 'id' => $hub->publish($update)]), "\n";
}
