// SPDX-License-Identifier: Apache-2.0
import {create} from '@bufbuild/protobuf';
import {account} from '../../core/accounting/index.js';
import {compare} from '../../core/changes/index.js';
import {toDisplay} from '../../core/model/index.js';
import {framedPacket} from '../trace/descriptors.js';
import {TraceEncoder} from '../trace/index.js';
import {
  TrackDescriptor_SiblingMergeBehavior,
  TrackDescriptorSchema,
} from '../trace/proto/perfetto/trace/track_event/track_descriptor_pb.js';
import {
  TrackEvent_Type,
  TrackEventSchema,
} from '../trace/proto/perfetto/trace/track_event/track_event_pb.js';
import {category, trackRank, trackUuid} from '../trace/schema.js';
import {BugReportError} from './errors.js';
import type {BugReport} from './read_bug_report.js';

const TRACK_NAME = 'Bug report';
const TRACK_UUID = trackUuid.counter(TRACK_NAME);
/** Times in a report have whole seconds. */
const SHORTEST_NS = 1_000_000_000n;

/**
 * A trace with the report's state at the report's own time, and a slice that
 * lasts as long as the report took. Slices of buffers stay open: what they show
 * was still held.
 *
 * @throws BugReportError when the report tells of no buffers, or not when
 */
export function reportTrace(report: BugReport): Uint8Array {
  const {path, snapshot, time, provenance} = report;
  if (snapshot === undefined) {
    throw new BugReportError(
      `${path} tells of no dma-buf, so there is nothing for a trace: leave ` +
        '-o out',
    );
  }
  if (time.realNs === undefined) {
    throw new BugReportError(
      `${path} does not say when it was taken, which a trace has to: give the ` +
        'whole bug report',
    );
  }
  const encoder = new TraceEncoder({
    provenance,
    dmabufRssInProcessStats: true,
  });
  const clock = {bootNs: time.bootNs, realNs: time.realNs};
  return Buffer.concat([
    encoder.header(clock),
    ...reportSlice(report),
    encoder.sample(snapshot, compare(undefined, snapshot), account(snapshot)),
    encoder.finish('read from a bug report'),
  ]);
}

/** Gives the trace a length, without which nothing in it could be seen. */
function reportSlice({header, time}: BugReport): Uint8Array[] {
  const {beganNs} = time;
  const endedNs =
    time.endedNs > beganNs + SHORTEST_NS ? time.endedNs : beganNs + SHORTEST_NS;
  const trackDescriptor = create(TrackDescriptorSchema, {
    uuid: TRACK_UUID,
    parentUuid: trackUuid.root,
    staticOrDynamicName: {case: 'name', value: TRACK_NAME},
    description:
      'From when to when the device wrote the report, as far as its text ' +
      'tells. The buffers are those of one moment in it.',
    siblingOrderRank: trackRank.samples + 1,
    siblingMergeBehavior: TrackDescriptor_SiblingMergeBehavior.NONE,
  });
  const build = header.build === undefined ? '' : ` ${toDisplay(header.build)}`;
  const event = (timestamp: bigint, type: TrackEvent_Type): Uint8Array =>
    framedPacket({
      timestamp,
      data: {
        case: 'trackEvent',
        value: create(TrackEventSchema, {
          type,
          trackUuid: TRACK_UUID,
          ...(type === TrackEvent_Type.SLICE_BEGIN
            ? {
                categories: [category.sample.name],
                nameField: {case: 'name', value: `bug report${build}`},
              }
            : {}),
        }),
      },
    });
  return [
    framedPacket({data: {case: 'trackDescriptor', value: trackDescriptor}}),
    event(beganNs, TrackEvent_Type.SLICE_BEGIN),
    event(endedNs, TrackEvent_Type.SLICE_END),
  ];
}
