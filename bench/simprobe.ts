import {connectCollector} from '../src/producer/collector/connect.js';
import {deviceOfKernel} from '../src/producer/device/simulated_device.js';
import {loadedKernel} from './simulated_load.js';
import {SimulatedCollector} from '../src/producer/collector/simulated_collector.js';
const S = Number(process.argv[2] ?? 240);
const stats = new Map<string, {n: number; bytes: number; t: number}>();
const orig = SimulatedCollector.prototype.answer;
if (process.argv[3] === 'steps') {
  SimulatedCollector.prototype.answer = function (line: string) {
    const t = performance.now();
    const a = orig.call(this, line);
    const d = performance.now() - t;
    let step = line.split(' ')[1] ?? '?';
    if (
      ['fds', 'maps', 'counts'].includes(step) &&
      line.split(' ').length === 2
    )
      step += '*';
    if (step === 'grep') step = line.split(' ').slice(1).join(' ');
    if (step === 'file') step = line.split(' ').slice(1).join(' ');
    if (step === 'slurp')
      step += ' ' + line.split(' ')[2]?.replace(/\d+/g, 'N');
    const s = stats.get(step) ?? {n: 0, bytes: 0, t: 0};
    s.n++;
    s.bytes += a?.length ?? 0;
    s.t += d;
    stats.set(step, s);
    return a;
  };
}
const kernel = loadedKernel({
  processes: 500,
  buffers: 20_000,
  churn: 0.05,
  busy: 25,
});
const device = deviceOfKernel(kernel, {description: 'load'});
const collector = await connectCollector(device);
const {sampler} = collector;
const c0 = process.cpuUsage();
await sampler.sample();
const c1 = process.cpuUsage(c0);
stats.clear();
let k = 0,
  bytes = 0,
  full = 0;
const begin = process.cpuUsage();
const w = performance.now();
for (let i = 0; i < S * 4; i++) {
  const t = performance.now();
  kernel.advance(250_000_000n);
  k += performance.now() - t;
  const s = await sampler.sample();
  bytes += s.cost.bytes;
  full += Number(s.cost.fullScan);
}
const u = process.cpuUsage(begin);
const cpu = (u.user + u.system) / 1e6;
console.log(
  `first ${((c1.user + c1.system) / 1e6).toFixed(2)} cpu ${cpu.toFixed(2)} (user ${(u.user / 1e6).toFixed(2)}) wall ${((performance.now() - w) / 1e3).toFixed(2)} kernel ${(k / 1e3).toFixed(2)} ratio ${(S / cpu).toFixed(1)} per sample ${((cpu * 1e3) / (S * 4)).toFixed(2)} ms, full ${full} rss ${((process.resourceUsage().maxRSS * 1024) / 1e6).toFixed(0)}`,
);
for (const [step, s] of stats)
  console.log(
    step.padEnd(40),
    s.n,
    'times',
    (s.bytes / s.n).toFixed(0),
    'B each',
    s.t.toFixed(0),
    'ms',
    ((s.t * 1e6) / s.bytes).toFixed(1),
    'ns/B',
  );
