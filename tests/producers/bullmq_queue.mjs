// A queue of BullMQ with a worker: adds JOBS jobs, each of which has one step of progress, and ends when they are done.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const [name, first, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const queue = new Queue(name, { connection });
let left = count;
const worker = new Worker(
  name,
  async (job) => {
    await job.updateProgress(50);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return { job: job.id };
  },
  { connection },
);
worker.on('completed', async () => {
  left -= 1;
  if (left === 0) {
    await worker.close();
    process.exit(0);
  }
});
for (let job = first; job < first + count; job++) await queue.add('count', {}, { jobId: `job-${job}` });
