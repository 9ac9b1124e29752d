// aimock, a provider of all four dialects that others wrote. Its argument is the answer that it gives to everything; it prints
// its URL, and ends with its stdin.
import { LLMock } from '@copilotkit/aimock';

const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 5, logLevel: 'silent' });
mock.onMessage(/./, JSON.parse(process.argv[2]));
await mock.start();
console.log(mock.url);
process.stdin.on('end', () => process.exit(0)).resume();
