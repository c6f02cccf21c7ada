// The process's logger. Secrets never reach it: they live in types that print only a key id, and what comes from outside
// is logged by allow-list (csi/, keeper/). Lines are JSON on stderr, so that stdout stays the command's own.
import winston from 'winston';

export type Level = 'error' | 'warn' | 'info' | 'debug';
export const levels: readonly Level[] = ['error', 'warn', 'info', 'debug'];

/** Plain values only: what goes into a field was chosen by the caller, never a whole request or object. */
export type Fields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

export interface Log {
  error(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
  child(fields: Fields): Log;
}

const printable = winston.format((info) => {
  for (const [key, value] of Object.entries(info)) if (typeof value === 'bigint') info[key] = value.toString();
  return info;
});

const root = winston.createLogger({
  level: 'info',
  format: winston.format.combine(printable(), winston.format.timestamp(), winston.format.json()),
  transports: [new winston.transports.Console({ stderrLevels: [...levels] })],
});

export function setLogLevel(level: Level): void {
  root.level = level;
}

export const logLevel = (): Level => root.level as Level;

function wrap(logger: winston.Logger): Log {
  return {
    error: (message, fields = {}) => void logger.error(message, fields),
    warn: (message, fields = {}) => void logger.warn(message, fields),
    info: (message, fields = {}) => void logger.info(message, fields),
    debug: (message, fields = {}) => void logger.debug(message, fields),
    child: (fields) => wrap(logger.child(fields)),
  };
}

export const log: Log = wrap(root);
