package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;

/**
 * What {@link Probe#drain} has taken.
 *
 * @param calls by object, in the order in which they were recorded: at their entries, or at their
 *     exits where what they return is asked for
 * @param lost how many records have got lost since the last time: they were overwritten before
 *     anybody has taken them, there was no room for them, or their thread has left the recording
 *     half way. Each call that a snapshot counts is delivered once, or lost once, or, where what it
 *     returns is asked for, is one that has not returned
 */
public record CapturedCalls(ImmutableList<CapturedCall> calls, long lost) {}
