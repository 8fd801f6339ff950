// SPDX-License-Identifier: Apache-2.0
//
// jobs.h: what an actor goes on doing by itself between two commands. Jobs
// write each allocation and each release into the log of events.
#ifndef DEVICE_LAB_JOBS_H
#define DEVICE_LAB_JOBS_H

#include "wire.h"

// Starts the job a command asks for; false if it is none:
//   leak LABEL size= period_us= count= exporter=   a new buffer each period
//   churn period_us= phase_us= exporter=           replaces one each period
//   storm period_us= life_us= size= exporter=      forks a short-lived holder
//   stop
bool job_start(const struct Command *command);
// How long a poll may wait until the job wants to go on; -1: for ever.
int job_timeout_ms(void);
// Does what is due.
void job_tick(void);
// A forked child does not go on with its parent's job.
void job_forget(void);
// Goes on until a job with a count has done it. False if there is no end to it.
bool job_complete(void);
// Waits for the short-lived processes of a storm.
void job_finish(void);

#endif
