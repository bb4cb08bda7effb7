/** ec2Query and awsQuery: forms in, XML out (authorization-and-wire 11). */
import { ApiError } from '../errors.ts';
import { type FormNode, formPairs, MalformedForm, parseForm } from './form.ts';
import type { WireRequest, WireResponse } from './message.ts';
import type { ServiceModel } from './model.ts';
import { constraintMessage, ec2Problem, type Protocol, readInput, statusOf } from './protocol.ts';
import { decodeForm } from './query.ts';
import { element, escapeXml, structToXml } from './xml.ts';

const XML_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The form is the body of a POST or the query string of a GET; together they are one (9.3). */
function formText(request: WireRequest): string {
  const { body, query } = request;
  if (body.byteLength === 0) return query;
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  return query === '' ? text : `${text}&${query}`;
}

/** One top-level parameter, found without decoding the rest. */
export function formParameter(request: WireRequest, name: string): string | undefined {
  try {
    for (const [key, value] of formPairs(formText(request))) if (key === name) return value;
  } catch (error) {
    if (!(error instanceof MalformedForm)) throw error;
  }
  return undefined;
}

function xmlResponse(status: number, requestId: string, body: string): WireResponse {
  return {
    status,
    headers: { 'content-type': 'text/xml;charset=UTF-8', 'x-amzn-requestid': requestId },
    body: XML_HEADER + body,
  };
}

function malformedForm(message: string, cause: unknown): ApiError {
  return cause instanceof MalformedForm
    ? new ApiError('MalformedQueryString', `The query string contains a syntax error: ${message}`, { cause })
    : new ApiError('InvalidRequest', message, { cause });
}

function attribute(namespace: string | undefined): string {
  return namespace === undefined ? '' : ` xmlns="${namespace}"`;
}

function unknownAction(name: string | undefined): ApiError {
  return name === undefined || name === ''
    ? new ApiError('MissingAction', 'The request is missing an action or a required parameter.')
    : new ApiError('InvalidAction', `The action ${name.slice(0, 128)} is not valid for this web service.`);
}

function unsupported(_service: ServiceModel, name: string): ApiError {
  return new ApiError('UnsupportedOperation', `The operation ${name} is not supported by Ingot.`);
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError('RequestEntityTooLarge', `The request is larger than ${bytesMax} bytes`, { status: 413 });
}

function versionOf(form: FormNode): string | undefined {
  return form.children?.get('Version')?.value;
}

export const ec2Query: Protocol = {
  claim: (_service, request) => formParameter(request, 'Action'),

  decode(service, operation, request) {
    return readInput(
      (reading) => {
        const form = parseForm(formText(request));
        const version = versionOf(form);
        if (version === undefined) {
          throw new ApiError('MissingParameter', 'The request must contain the parameter Version');
        }
        if (version !== service.entry.version) {
          throw new ApiError(
            'NoSuchVersion',
            `The requested version (${version.slice(0, 32)}) of service AmazonEC2 does not exist`,
          );
        }
        return decodeForm('ec2', operation.input, form, reading);
      },
      { problems: ec2Problem, malformed: malformedForm },
    );
  },

  encode(service, operation, output, requestId) {
    const name = `${operation.name}Response`;
    const content = operation.hasOutput ? structToXml(operation.output, output) : '<return>true</return>';
    return xmlResponse(
      200,
      requestId,
      `<${name}${attribute(service.entry.xmlNamespace)}><requestId>${requestId}</requestId>${content}</${name}>`,
    );
  },

  encodeError(service, error, requestId) {
    const detail = element('Code', escapeXml(error.code)) + element('Message', escapeXml(error.message));
    return xmlResponse(
      statusOf(service, error),
      requestId,
      `<Response><Errors><Error>${detail}</Error></Errors><RequestID>${requestId}</RequestID></Response>`,
    );
  },

  unknownOperation: (_service, name) => unknownAction(name),
  unsupportedOperation: unsupported,
  tooLarge,
  throttled: () => new ApiError('RequestLimitExceeded', 'Request limit exceeded.', { status: 503 }),
};

export const awsQuery: Protocol = {
  claim: (_service, request) => formParameter(request, 'Action'),

  decode(service, operation, request) {
    return readInput(
      (reading) => {
        const form = parseForm(formText(request));
        const version = versionOf(form);
        if (version !== undefined && version !== service.entry.version) {
          throw new ApiError(
            'InvalidAction',
            `Could not find operation ${operation.name} for version ${version.slice(0, 32)}`,
          );
        }
        return decodeForm('aws', operation.input, form, reading);
      },
      {
        problems: (problems) => new ApiError('ValidationError', constraintMessage(problems)),
        malformed: malformedForm,
      },
    );
  },

  encode(service, operation, output, requestId) {
    const { name } = operation;
    const result = operation.hasOutput ? element(`${name}Result`, structToXml(operation.output, output)) : '';
    const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
    return xmlResponse(
      200,
      requestId,
      `<${name}Response${attribute(service.entry.xmlNamespace)}>${result}${metadata}</${name}Response>`,
    );
  },

  encodeError(service, error, requestId) {
    const code = service?.error(error.code)?.code ?? error.code;
    let detail = element('Type', error.fault === 'server' ? 'Receiver' : 'Sender');
    detail += element('Code', escapeXml(code)) + element('Message', escapeXml(error.message));
    for (const [name, value] of Object.entries(error.members)) {
      if (typeof value === 'string' || typeof value === 'number') detail += element(name, escapeXml(String(value)));
    }
    return xmlResponse(
      statusOf(service, error),
      requestId,
      `<ErrorResponse${attribute(service?.entry.xmlNamespace)}><Error>${detail}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
    );
  },

  unknownOperation: (_service, name) => unknownAction(name),
  unsupportedOperation: unsupported,
  tooLarge,
  throttled: () => new ApiError('Throttling', 'Rate exceeded'),
};
